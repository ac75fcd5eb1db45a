"""A walk goes through the endpoints as the runtime does, mirrors first."""

from dataclasses import replace

import pytest
from walking.plans import plan_for, told
from walking.server import Answer, Got, RawServer, Server
from walking.shop import Shop
from walking.walks import mirror, over, shop, two, upstream

from pullwhy.model import Outcome, Stage, Via


def test_a_mirror_that_serves_ends_the_walk_and_is_told_whose_image_is_meant() -> None:
    first, second = Server(shop().respond), Server(shop().respond)
    trace = over([first, second], lambda a, b: two(mirror(a), upstream(b), f"registry.test:{b}/team/app:1"))
    assert not second.requests
    assert {got.query for got in first.requests} == {f"ns=registry.test%3A{second.port}"}
    assert {result.via for result in trace.results if result.stage is not Stage.DNS} == {Via.MIRROR}
    assert {result.endpoint for result in trace.results} == {0}


@pytest.mark.parametrize("broken", [Server(Shop().respond), RawServer(b"rubbish"), RawServer(None)])
def test_a_mirror_that_fails_leads_to_the_next_endpoint(broken: Server) -> None:
    second = Server(shop().respond)
    trace = over([broken, second], lambda a, b: two(mirror(a), upstream(b)))
    assert [result.via for result in trace.results if result.outcome is Outcome.FAILED] == [Via.MIRROR]
    assert trace.results[-1].outcome is Outcome.PASSED
    assert trace.results[-1].endpoint == 1
    assert not [got for got in second.requests if got.query]


def test_hosts_without_the_capability_are_passed_over_as_the_runtime_does() -> None:
    first, second = Server(shop().respond), Server(Shop().respond)
    trace = over([first, second], lambda a, b: two(mirror(a, resolve=False), upstream(b)))
    assert not first.requests
    assert told(trace)[0] == "Manifest Skipped"
    assert "no resolve capability" in trace.results[0].detail

    made = shop()
    digest = made.image("team/app", "1")
    third, fourth = Server(Shop().respond), Server(made.respond)
    image = f"registry.test/team/app@{digest}"
    over([third, fourth], lambda a, b: two(mirror(a, resolve=False), upstream(b), image))
    assert third.requests
    over(
        [Server(Shop().respond), fifth := Server(made.respond)],
        lambda a, b: two(mirror(a, pull=False), upstream(b), image),
    )
    assert fifth.requests


@pytest.mark.parametrize("capability", ["resolve", "pull"])
def test_a_host_that_was_passed_over_is_asked_for_the_content_before_the_one_that_named_it(capability: str) -> None:
    made = shop()
    first, second = Server(made.respond), Server(made.respond)
    trace = over([first, second], lambda a, b: two(mirror(a, **{capability: False}), upstream(b)))
    assert [got.method for got in second.requests] == ["HEAD"]
    assert all("sha256:" in got.path for got in first.requests)
    assert "Manifest Skipped" not in told(trace)
    assert trace.results[-1].endpoint == 0
    assert trace.results[-1].outcome is Outcome.PASSED

    third, fourth = Server(Shop().respond), Server(made.respond)
    trace = over([third, fourth], lambda a, b: two(mirror(a, **{capability: False}), upstream(b)))
    assert third.requests
    assert trace.results[-1].endpoint == 1
    assert trace.results[-1].outcome is Outcome.PASSED


def test_once_a_host_has_named_the_digest_later_ones_are_asked_by_it() -> None:
    made = shop()

    def only_the_name(got: Got) -> Answer:
        return made.respond(got) if got.method == "HEAD" else Answer(404)

    first, second = Server(only_the_name), Server(made.respond)
    over([first, second], lambda a, b: two(mirror(a), replace(upstream(b), resolve=False)))
    assert second.requests
    assert all("sha256:" in got.path for got in second.requests)


def test_a_path_of_the_endpoint_comes_before_every_request() -> None:
    made = shop()

    def below(got: Got) -> Answer:
        assert got.path.startswith("/proxy/v2/")
        return made.respond(replace(got, target=got.target.removeprefix("/proxy")))

    trace = over(
        [Server(below)], lambda port: replace(plan_for(port), endpoints=(replace(upstream(port), path="/proxy/v2"),))
    )
    assert trace.results[-1].outcome is Outcome.PASSED
