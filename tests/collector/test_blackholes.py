"""A node that fails for many images what others pull is named; one that fails with all the others is not."""

import asyncio
from datetime import timedelta
from pathlib import Path

from collector.fleetsim import HOST, World, failure, passes, world
from collector.samples import NOW, Clock, get, until

from pullwhy.collector.compare.blackholes import BlackHole, Miss, black_holes
from pullwhy.collector.compare.misses import BlackHoles
from pullwhy.collector.fleet import Probe, Purpose, Walk, WalkState
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.store import SQLStore, open_store
from pullwhy.model import CauseId

UNTRUSTED = CauseId.CERTIFICATE_UNTRUSTED


def miss(image: str, node: str = "bad", minutes: float = 1, opinion: str = "") -> Miss:
    last = NOW - timedelta(minutes=minutes)
    return Miss(node, image, last - timedelta(minutes=5), last, opinion)


def test_three_images_make_a_black_hole() -> None:
    found = black_holes([miss("a"), miss("b", minutes=30), miss("c"), miss("a", "other"), miss("a", "other")], NOW)
    assert found == {"bad": BlackHole(3, NOW - timedelta(minutes=35))}


def test_so_do_three_second_opinions_though_of_one_image() -> None:
    assert black_holes([miss("a", opinion=f"p{i}") for i in range(3)], NOW)["bad"].images == 1
    assert not black_holes([miss("a", opinion=f"p{i}") for i in range(2)], NOW)


def test_what_is_longer_ago_than_an_hour_does_not_count() -> None:
    assert not black_holes([miss("a"), miss("b"), miss("c", minutes=61)], NOW)


async def holes_of(made: World) -> BlackHoles:
    holes = made.collectors[0].black_holes
    assert holes
    await holes.look()
    return holes


async def specific(made: World, number: int) -> bool:
    verdicts = [problem["scope"]["verdict"] for problem in await made.problems()]
    return verdicts.count("NodeSpecific") == number


async def shown(address: str) -> bool:
    _, body, _ = await asyncio.to_thread(get, address, "/api/v1/nodes")
    holes = {node["node"]: node["black_hole"] for node in body["items"]}
    return bool(holes.pop("bad")["images"] == 3) and set(holes.values()) == {None}


def test_a_node_whose_findings_are_its_own_is_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as made:
            await made.nodes("a", "b", "c", script=passes)
            bad = await made.node("bad")
            images = [f"r{number}.example/app:1" for number in range(3)]
            await bad.report(*(failure("bad", UNTRUSTED, image) for image in images))
            await until(lambda: specific(made, 3))
            found = (await holes_of(made))()
            assert {key: hole.images for key, hole in found.items()} == {("", "bad"): 3}
            assert await shown(made.collectors[0].http_address)

    asyncio.run(scenario())


def test_a_node_that_fails_second_opinions_which_others_pass_is_found(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        store = open_store(tmp_path / "c.db", clock)
        try:
            for number in range(3):
                await round_of(store, f"p{number}", dict.fromkeys("abc", WalkState.PASSES) | {"hole": WalkState.FAILS})
                await round_of(
                    store, f"q{number}", dict.fromkeys(("x", "y"), WalkState.FAILS) | {"a": WalkState.PASSES}
                )
            holes = BlackHoles(store, Metrics(), clock)
            await holes.look()
            assert not holes()  # the rounds are not over
            clock.now += timedelta(seconds=10)
            await holes.look()
            assert list(holes()) == [("", "hole")]
            clock.now += timedelta(hours=1)
            await holes.look()
            assert not holes()
        finally:
            await store.close()

    asyncio.run(scenario())


async def round_of(store: SQLStore, name: str, answers: dict[str, WalkState]) -> None:
    probe = Probe(name, "", f"{HOST}/app:1", Purpose.SECOND_OPINION, NOW, NOW + timedelta(seconds=3))
    assert await store.add_probe(probe, sorted(answers))
    for node, state in answers.items():
        assert await store.answer_walk(name, "", Walk(node, state, NOW))
