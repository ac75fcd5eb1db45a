"""A network that is a table: addresses to bytes or failures; and a clock that stands still."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pullwhy.probe.network import ConnectFailed, Stream, StreamTimedOut
from pullwhy.trace import ConnectResult

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class FakeClock:
    at: datetime = NOW
    seconds: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds


class FakeStream:
    """Gives chunks and keeps what was written; b"" is the end, an exception is raised, running out is silence."""

    def __init__(self, chunks: list[bytes | Exception]) -> None:
        self.chunks = list(chunks)
        self.written = b""
        self.closed = False

    async def read(self, limit: int, within: float) -> bytes:
        if not self.chunks:
            raise StreamTimedOut(f"nothing came within {within:.1f} s")
        chunk = self.chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        if len(chunk) > limit:
            self.chunks.insert(0, chunk[limit:])
        return chunk[:limit]

    async def write(self, data: bytes, within: float) -> None:  # noqa: ARG002 - the seam's signature
        self.written += data

    def close(self) -> None:
        self.closed = True


Datagram = Callable[[bytes], bytes] | ConnectFailed


@dataclass
class FakeNetwork:
    """Unknown addresses do not answer."""

    streams: dict[tuple[str, int], list[FakeStream | ConnectFailed]] = field(default_factory=dict)
    datagrams: dict[str, Datagram] = field(default_factory=dict)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    unrouted: tuple[str, ...] = ()

    async def connect(self, address: str, port: int, within: float) -> Stream:
        self.dialled.append((address, port))
        known = self.streams.get((address, port))
        if not known:
            raise ConnectFailed(ConnectResult.TIMED_OUT, f"no answer within {within:.1f} s")
        found = known.pop(0) if len(known) > 1 else known[0]
        if isinstance(found, ConnectFailed):
            raise found
        return found

    def source(self, address: str) -> str:
        return "" if address in self.unrouted else address

    async def udp_exchange(
        self, address: str, port: int, payload: bytes, within: float, accept: Callable[[bytes], bool]
    ) -> bytes:
        self.dialled.append((address, port))
        answer = self.datagrams.get(address)
        if answer is None:
            raise ConnectFailed(ConnectResult.TIMED_OUT, f"no answer within {within:.1f} s")
        if isinstance(answer, ConnectFailed):
            raise answer
        data = answer(payload)
        if not accept(data):
            raise ConnectFailed(ConnectResult.TIMED_OUT, "only strays came")
        return data
