"""Whom a node walks for others' sake, and how far."""

import asyncio
from pathlib import Path

import pytest
from walking.plans import plan_for

from pullwhy.node.report.registries import REFRESH_SOON, NodeRegistries, registries_of
from pullwhy.node.walk.reach import HERE, Known, Reach
from pullwhy.probe.destinations import Destinations, Origin
from pullwhy.runtime.containerd.settings import ContainerdConfig
from pullwhy.runtime.cri import CRIClient, CRIError, Image
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.versions import Version

KNOWN = Known(
    configured=frozenset({"configured.example", "localhost:5000"}),
    listed=frozenset({"listed.example", "127.0.0.1:5001"}),
    held=frozenset({"held.example", "localhost:32000", "docker.io"}),
)


def image(*names: str) -> Image:
    return Image("sha256:1", names, (), 1, False)


@pytest.mark.parametrize(
    ("registry", "reach"),
    [
        ("configured.example", Reach(private=True, trusted=("configured.example",))),
        ("localhost:5000", Reach(private=True, trusted=("localhost",))),
        ("listed.example", Reach(private=True)),
        ("127.0.0.1:5001", Reach(private=True, trusted=("127.0.0.1",))),
        ("held.example", Reach()),
        ("docker.io", Reach()),
        ("localhost:32000", None),
        ("held.example:444", None),
        ("evil.held.example", None),
        ("stranger.example", None),
    ],
)
def test_only_registries_that_the_node_has_to_do_with_are_walked_on_request(registry: str, reach: Reach | None) -> None:
    assert KNOWN.reach(registry) == reach


@pytest.mark.parametrize(
    ("address", "reach", "allowed"),
    [
        ("192.0.2.1", Reach(), False),
        ("8.8.8.8", Reach(), True),
        ("10.1.2.3", Reach(), False),
        ("10.1.2.3", Reach(private=True), True),
        ("fd12::1", Reach(private=True), True),
        ("100.64.0.1", Reach(private=True), True),
        ("127.0.0.1", Reach(private=True), False),
        ("::1", Reach(private=True), False),
        ("::ffff:127.0.0.1", Reach(private=True), False),
        ("169.254.169.254", Reach(private=True), False),
        ("169.254.169.254", Reach(private=True, trusted=("registry.test",)), False),
        ("127.0.0.1", Reach(private=True, trusted=("registry.test",)), True),
        ("127.0.0.1", HERE, True),
        ("169.254.169.254", HERE, False),
    ],
)
def test_where_a_walk_may_lead(address: str, reach: Reach, allowed: bool) -> None:
    rules = Destinations.of(reach.widen(plan_for(443)))
    why = rules.refuses(address, 443, "registry.test", Origin.ENDPOINT, "registry.test")
    assert (not why) is allowed, why


def test_a_public_registry_cannot_lead_the_walk_of_another_node_to_private_addresses() -> None:
    rules = Destinations.of(Reach(private=True).widen(plan_for(443)))
    assert not rules.refuses("8.8.8.8", 443, "registry.test", Origin.ENDPOINT, "registry.test")
    assert rules.refuses("10.0.0.9", 443, "blobs.test", Origin.INDIRECT, "registry.test")
    assert not rules.refuses("10.0.0.1", 443, "own.test", Origin.ENDPOINT, "own.test")
    assert not rules.refuses("10.0.0.9", 443, "blobs.test", Origin.INDIRECT, "own.test")
    assert rules.refuses("127.0.0.1", 443, "blobs.test", Origin.INDIRECT, "own.test")
    assert rules.refuses("10.0.0.9", 443, "blobs.test", Origin.INDIRECT, "registry.test")


def test_registries_of_images_are_those_of_their_names() -> None:
    images = [image("web:1", "docker.io/library/db:2"), image("r.example:5000/a/b@sha256:" + "0" * 64), image("<none>")]
    assert registries_of(images) == ("docker.io", "r.example:5000")


class Lists:
    """A runtime that lists images."""

    def __init__(self) -> None:
        self.shown: tuple[Image, ...] = ()
        self.asked = 0
        self.down = False

    async def images(self) -> tuple[Image, ...]:
        self.asked += 1
        if self.down:
            raise CRIError("Unavailable", "")
        return self.shown


def test_an_image_that_came_since_makes_its_registry_known_and_a_flood_asks_the_runtime_once(tmp_path: Path) -> None:
    runtime, now = Lists(), [0.0]
    client: CRIClient = runtime  # type: ignore[assignment]  # a stand-in
    registries = NodeRegistries(lambda: RuntimeView(fs=HostFS(tmp_path)), lambda: client, ["l.example"], lambda: now[0])

    async def scenario() -> None:
        assert await registries.reach("r.example") is None
        runtime.shown = (image("r.example/a:1"),)
        for _ in range(100):
            assert await registries.reach("r.example") is None
        assert runtime.asked == 1
        now[0] += REFRESH_SOON
        assert await registries.reach("r.example") == Reach()
        now[0] += 10_000
        runtime.down = True
        await registries.refresh()
        assert registries.held == ("r.example",)
        assert await registries.reach("l.example") == Reach(private=True)
        assert runtime.asked == 3

    asyncio.run(scenario())


def test_what_the_runtimes_configuration_names_is_known_without_an_image(tmp_path: Path) -> None:
    for name in ("named.example", "ported.example_5000_", "_default"):
        (tmp_path / "etc/containerd/certs.d" / name).mkdir(parents=True)
    config = ContainerdConfig(Version((2, 1, 0), known=True), config_path="/etc/containerd/certs.d")
    view = RuntimeView(config=config, fs=HostFS(tmp_path))
    registries = NodeRegistries(lambda: view, lambda: None)

    async def scenario() -> None:
        assert await registries.reach("named.example") == Reach(private=True, trusted=("named.example",))
        assert await registries.reach("ported.example:5000") == Reach(private=True, trusted=("ported.example",))
        assert await registries.reach("_default") is None
        assert await registries.reach("other.example") is None

    asyncio.run(scenario())
