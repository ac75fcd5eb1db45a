import asyncio

from walking.network import FakeClock, FakeNetwork, FakeStream

from pullwhy.probe import tcp
from pullwhy.probe.network import ConnectFailed, Stream
from pullwhy.trace import ConnectAttempt, ConnectResult

REFUSED = ConnectFailed(ConnectResult.REFUSED, "connection refused (ECONNREFUSED)")


class Stalling(FakeNetwork):
    """Unknown addresses stay silent for as long as one waits."""

    async def connect(self, address: str, port: int, within: float) -> Stream:
        if (address, port) not in self.streams:
            await asyncio.sleep(within)
        return await super().connect(address, port, within)


def connect(
    network: FakeNetwork, *addresses: str, forbidden: tuple[str, ...] = (), within: float = 1.0
) -> tuple[Stream | None, tuple[ConnectAttempt, ...]]:
    return asyncio.run(
        tcp.connect(
            network,
            FakeClock(),
            addresses,
            443,
            within,
            lambda address: "a metadata address" if address in forbidden else "",
        )
    )


def test_every_address_says_its_own_word() -> None:
    stream = FakeStream([])
    network = FakeNetwork(streams={("192.0.2.1", 443): [REFUSED], ("192.0.2.3", 443): [stream]})
    found, attempts = connect(network, "192.0.2.1", "192.0.2.2", "192.0.2.3")
    assert found is stream
    assert [attempt.result for attempt in attempts] == [
        ConnectResult.REFUSED,
        ConnectResult.TIMED_OUT,
        ConnectResult.CONNECTED,
    ]
    assert attempts[0].detail == "connection refused (ECONNREFUSED)"


def test_the_address_that_go_prefers_is_used_and_the_others_are_closed() -> None:
    one, two = FakeStream([]), FakeStream([])
    network = FakeNetwork(streams={("192.0.2.1", 443): [one], ("2001:db8::1", 443): [two]})
    found, attempts = connect(network, "192.0.2.1", "2001:db8::1")
    assert found is two
    assert (one.closed, two.closed) == (True, False)
    assert [(attempt.address, attempt.used) for attempt in attempts] == [("2001:db8::1", True), ("192.0.2.1", False)]


def test_a_family_without_a_route_comes_last() -> None:
    network = FakeNetwork(streams={("192.0.2.1", 443): [FakeStream([])]}, unrouted=("2001:db8::1",))
    _, attempts = connect(network, "2001:db8::1", "192.0.2.1")
    assert [attempt.address for attempt in attempts] == ["192.0.2.1", "2001:db8::1"]


def test_a_silent_address_beside_a_connected_one_has_a_short_grace() -> None:
    async def timed() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        network = Stalling(streams={("192.0.2.1", 443): [FakeStream([])]})
        _, attempts = await tcp.connect(network, FakeClock(), ("192.0.2.9", "192.0.2.1"), 443, 30.0, lambda _: "")
        assert [attempt.result for attempt in attempts] == [ConnectResult.TIMED_OUT, ConnectResult.CONNECTED]
        assert "while another address answered" in attempts[0].detail
        return loop.time() - before

    assert asyncio.run(timed()) < 5 * tcp.EVIDENCE_GRACE


def test_a_forbidden_address_is_not_dialled() -> None:
    network = FakeNetwork(streams={("192.0.2.1", 443): [FakeStream([])]})
    found, attempts = connect(network, "169.254.169.254", "192.0.2.1", forbidden=("169.254.169.254",))
    assert found is not None
    assert attempts[0].result is ConnectResult.NOT_ALLOWED
    assert network.dialled == [("192.0.2.1", 443)]


def test_addresses_are_counted() -> None:
    network = FakeNetwork()
    found, attempts = connect(network, *(f"192.0.2.{i}" for i in range(1, 100)))
    assert found is None
    assert len(attempts) == len(network.dialled) == tcp.MAX_ADDRESSES


def test_nothing_stays_open_when_the_walk_is_cut_short() -> None:
    stream = FakeStream([])

    class Late(FakeNetwork):
        async def connect(self, address: str, port: int, within: float) -> Stream:
            if address == "192.0.2.1":
                return stream
            await asyncio.sleep(within)
            return await super().connect(address, port, within)

    async def go() -> None:
        task = asyncio.create_task(
            tcp.connect(Late(), FakeClock(), ("192.0.2.1", "192.0.2.2"), 443, 30.0, lambda _: "")
        )
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)

    asyncio.run(go())
    assert stream.closed
