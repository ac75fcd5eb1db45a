import asyncio
import time

import pytest
from walking.plans import failed, plan_for, walked
from walking.server import Answer, Server
from walking.shop import Shop, error

from pullwhy.probe.tags import MAX_SIMILAR, similar
from pullwhy.trace import ManifestFacts


@pytest.mark.parametrize(
    ("tag", "tags", "first"),
    [
        ("lattest", ["1.0", "latest", "edge"], "latest"),
        ("1.2.33", ["1.2.3", "1.2.4", "2.0.0"], "1.2.3"),
        ("v1.0", ["1.0", "nightly"], "1.0"),
    ],
)
def test_a_typo_leads_to_the_tag_that_was_meant(tag: str, tags: list[str], first: str) -> None:
    assert similar(tag, tags)[0] == first


def test_unlike_tags_are_not_shown_and_like_ones_are_counted() -> None:
    assert similar("zzz", ["latest", "1.0"]) == ()
    assert len(similar("1.0.0", [f"1.0.{i}" for i in range(100)])) == MAX_SIMILAR
    assert similar("", ["latest"]) == ()


def test_likeness_is_not_sought_without_end() -> None:
    started = time.process_time()
    similar("ab-." * 32, ["ba.-" * 32] * 20_000)
    assert time.process_time() - started < 1.0


def absent(shop: Shop, image: str = "team/app:lattest") -> ManifestFacts:
    async def go() -> ManifestFacts:
        async with Server(shop.respond) as server:
            facts = failed(await walked(plan_for(server.port, image))).manifest
            assert facts is not None
            return facts

    return asyncio.run(go())


def test_an_absent_tag_of_a_repository_that_answers_is_not_listed() -> None:
    shop = Shop()
    shop.image("team/app", "latest")
    assert absent(shop) == ManifestFacts(tag_listed=False, similar_tags=("latest",), repository_answers=True)


def test_an_absent_repository_does_not_answer() -> None:
    assert absent(Shop()) == ManifestFacts(repository_answers=False)


def test_a_tag_that_is_listed_and_yet_absent_is_told() -> None:
    shop = Shop(faults={"* /v2/team/app/manifests": error(404, "MANIFEST_UNKNOWN")})
    shop.image("team/app", "lattest")
    assert absent(shop).tag_listed is True


@pytest.mark.parametrize(
    ("answer", "answers", "listed"),
    [
        (Answer(200, {}, b'{"name": "team/app", "tags": null}'), True, False),
        (Answer(200, {"Link": '</v2/team/app/tags/list?last=x>; rel="next"'}, b'{"tags": ["a"]}'), True, None),
        (Answer(200, {}, b'{"tags": ["a", 5, "\\u001b[31m", "' + b"x" * 300 + b'"]}'), True, False),
        (Answer(200, {}, b"[" * 100_000), None, None),
        (Answer(200, {}, b'{"tags": {}}'), None, None),
        (Answer(200, {}, b'{"tags": ["' + b"x" * 1_000_000), None, None),
        (Answer(404, {}, b"404 page not found"), None, None),
        (error(401, "UNAUTHORIZED"), None, None),
        (Answer(500), None, None),
        (Answer(hold=True, raw=b""), None, None),
    ],
)
def test_a_list_that_is_not_whole_proves_nothing(answer: Answer, answers: bool | None, listed: bool | None) -> None:
    shop = Shop(faults={"GET /v2/team/app/tags/list": answer})
    shop.image("team/app", "1")
    facts = absent(shop)
    assert (facts.repository_answers, facts.tag_listed) == (answers, listed)
    assert all(tag.isprintable() for tag in facts.similar_tags)


def test_a_digest_is_not_looked_for_among_tags_but_its_repository_is() -> None:
    shop = Shop()
    shop.image("team/app", "1")
    facts = absent(shop, "team/app@sha256:" + "0" * 64)
    assert facts == ManifestFacts(repository_answers=True)
