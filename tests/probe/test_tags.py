import asyncio
import json

import pytest
from walking.plans import failed, plan_for, walked
from walking.server import Answer, Got, Server
from walking.shop import API, Shop, error

from pullwhy.probe.tags import MAX_PAGES
from pullwhy.trace import ManifestFacts


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


def paged(*pages: list[str], link: str = '</v2/team/app/tags/list?n=1000&last={last}>; rel="next"') -> Shop:
    """Return a shop that lists its tags in pages, each of which names the next."""
    shop = Shop()
    shop.image("team/app", "1")
    whole = shop.respond

    def respond(got: Got) -> Answer:
        if not got.path.endswith("/tags/list"):
            return whole(got)
        number = int(got.query.rpartition("last=")[2]) if "last=" in got.query else 0
        more = {"Link": link.format(last=number + 1)} if number + 1 < len(pages) else {}
        return Answer(200, {**API, **more}, json.dumps({"name": "team/app", "tags": pages[number]}).encode())

    shop.respond = respond  # type: ignore[method-assign]
    return shop


def test_the_list_is_read_page_by_page_until_it_ends() -> None:
    facts = absent(paged(["a"], ["b"], ["latest"]))
    assert facts == ManifestFacts(tag_listed=False, similar_tags=("latest",), repository_answers=True)


def test_no_more_pages_are_read_than_are_needed_or_allowed() -> None:
    assert absent(paged(["a"], ["lattest"], ["latest"])).tag_listed is True
    endless = [[f"tag-{number}"] for number in range(MAX_PAGES + 1)]
    endless[MAX_PAGES] = ["latest"]
    assert absent(paged(*endless)) == ManifestFacts(tag_listed=None, repository_answers=True)


@pytest.mark.parametrize("link", ["<https://elsewhere.example/v2/x/tags/list>", "<//[>", "nonsense"])
def test_no_page_is_read_elsewhere(link: str) -> None:
    assert absent(paged(["a"], ["latest"], link=link)) == ManifestFacts(tag_listed=None, repository_answers=True)
