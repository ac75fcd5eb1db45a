import dataclasses

from collector.samples import finding

from pullwhy.collector.problem import KIND, SubjectKind, problem_key
from pullwhy.model import CauseId, Finding, Via


def of(cause: CauseId, **changed: object) -> Finding:
    sample = dataclasses.replace(finding(1), **changed)  # type: ignore[arg-type]  # names and types are the caller's business
    return dataclasses.replace(sample, diagnosis=dataclasses.replace(sample.diagnosis, cause=cause))


def test_each_cause_is_of_something() -> None:
    assert set(KIND) == set(CauseId)


def test_one_missing_tag_on_two_nodes_is_one_problem() -> None:
    one, other = problem_key(of(CauseId.TAG_NOT_FOUND, node="a")), problem_key(of(CauseId.TAG_NOT_FOUND, node="b"))
    assert one.id == other.id
    assert one.kind is SubjectKind.IMAGE


def test_two_spellings_of_an_image_are_one_problem() -> None:
    short = problem_key(of(CauseId.TAG_NOT_FOUND, image="nginx", registry="docker.io"))
    full = problem_key(of(CauseId.TAG_NOT_FOUND, image="docker.io/library/nginx:latest", registry="docker.io"))
    assert short == full


def test_a_registry_that_is_down_is_one_problem_whichever_image_was_asked_for() -> None:
    one = of(CauseId.CONNECTION_REFUSED, image="r.example.com/a:1", registry="r.example.com")
    other = of(CauseId.CONNECTION_REFUSED, image="r.example.com/b:2", registry="r.example.com")
    assert problem_key(one) == problem_key(other)
    assert problem_key(one).subject == "r.example.com"


def test_a_failure_whose_registry_is_not_known_is_no_wider_than_its_image() -> None:
    one = of(CauseId.CONNECTION_REFUSED, image="a:1", registry="")
    other = of(CauseId.CONNECTION_REFUSED, image="b:2", registry="")
    assert problem_key(one) != problem_key(other)


def test_another_cause_cluster_or_place_on_the_way_is_another_problem() -> None:
    plain = of(CauseId.CERTIFICATE_UNTRUSTED)
    elsewhere = dataclasses.replace(plain, diagnosis=dataclasses.replace(plain.diagnosis, via=Via.TOKEN_HOST))
    others = (plain, elsewhere, of(CauseId.CERTIFICATE_EXPIRED), of(CauseId.CERTIFICATE_UNTRUSTED, cluster="other"))
    assert len({problem_key(each).id for each in others}) == len(others)
