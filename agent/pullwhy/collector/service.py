"""The collector as a whole: store, gRPC and HTTP in one event loop; alone, or inside an agent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import resource
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import grpc
import grpc.aio
import uvicorn

from pullwhy.collector.api import API
from pullwhy.collector.api.connections import Connection
from pullwhy.collector.compare.answers import Answers
from pullwhy.collector.compare.canary import Canaries
from pullwhy.collector.compare.judging import Surroundings
from pullwhy.collector.compare.misses import BlackHoles
from pullwhy.collector.compare.task import Compare
from pullwhy.collector.fleet import WholeStore
from pullwhy.collector.identities import BadSetting, Identities
from pullwhy.collector.intake import permits
from pullwhy.collector.intake.orders import Orders
from pullwhy.collector.intake.permits import Permits
from pullwhy.collector.intake.server import Desks, Servicer
from pullwhy.collector.intake.streams import Streams
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.records import BadDatabase, StoreError
from pullwhy.collector.retention import Keep, tend
from pullwhy.collector.settings import CollectorSettings
from pullwhy.collector.store import SQLStore, open_store
from pullwhy.protocol import collector_options, most_connections

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 1.0
"""For batches that are under way at the end; what is not acknowledged by then, its agent sends again."""
RESTART_SECONDS: Final = 5.0


_M_ARENA_MAX: Final = -8


class StartError(Exception):
    """The collector cannot start; the text names the setting and the mend."""


class WrongSetting(StartError):
    """It cannot start wherever it is: a setting cannot be meant, or not together with another."""


class _HTTPServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signals to who runs the collector."""
        yield


class Collector:
    """A collector to start and stop; `grpc_address` and `http_address` tell where it listens then."""

    def __init__(self, settings: CollectorSettings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._settings, self._clock = settings, clock
        self._metrics = Metrics()
        self._identities = Identities(settings)
        self._closing = contextlib.AsyncExitStack()
        self._store: SQLStore | None = None
        self.black_holes: BlackHoles | None = None
        self.grpc_address = ""
        self.http_address = ""

    async def start(self) -> None:
        """Open the store and listen; raises StartError, with nothing left behind."""
        try:
            async with self._closing:
                await self._start()
                self._closing = self._closing.pop_all()
        except (BadSetting, BadDatabase) as error:
            raise WrongSetting(str(error)) from error
        except StoreError as error:
            raise StartError(str(error)) from error

    async def stop(self) -> None:
        """Take nothing more, finish what is under way, close the store."""
        await self._closing.aclose()

    async def _start(self) -> None:
        settings = self._settings
        self._identities.open()
        self._closing.push_async_callback(self._identities.close)
        store = self._store = open_store(settings.database, self._clock, settings.database_password_file)
        self._closing.push_async_callback(store.close)
        if attendant := self._identities.attendant(self._metrics, store):
            self._start_task(attendant.run, "kubernetes")
        if labels := self._identities.node_labels(store.change_facts):
            self._start_task(labels.run, "node labels")
        streams = Streams()
        orders = Orders(store, streams, self._metrics, self._clock)
        pace = permits.Pace(settings.walks_per_second, settings.walks_at_once)
        desks = Desks(streams, orders, Permits(store, self._metrics, self._clock, pace))
        servicer = Servicer(
            store,
            desks,
            self._metrics,
            time.monotonic,
            settings.max_agents,
            gate=self._identities.gate(),
            attend=attendant.attend if attendant else None,
            complete=labels.complete if labels else lambda _, facts: facts,
        )
        keep = Keep(timedelta(days=settings.retention_days), settings.database_mib * 1024 * 1024)
        self._start_task(lambda: tend(store, keep, self._metrics, servicer.connected, self._clock), "retention")
        self._start_task(orders.run, "orders")
        holes = self.black_holes = BlackHoles(store, self._metrics, self._clock)
        self._start_comparing(store, servicer.connected, holes)
        who = self._identities.who()
        await self._start_http(API(store, self._metrics, servicer.connected, self._clock, who, black_holes=holes))
        await self._start_grpc(servicer)
        self._identities.warn()
        logger.info(
            "collector: agents report to %s, questions to %s://%s, database %s",
            self.grpc_address, "https" if settings.http_tls else "http", self.http_address, store.name,
        )  # fmt: skip

    def _start_comparing(
        self, store: WholeStore, connected: Callable[[], set[tuple[str, str]]], holes: BlackHoles
    ) -> None:
        most = self._settings.second_opinions
        patience = timedelta(seconds=self._settings.second_opinion_seconds)
        answers, around = Answers(store), Surroundings(connected, holes)
        compare = Compare(store, answers, around, self._metrics, self._clock, most=most, patience=patience)
        self._start_task(answers.run, "answers")
        self._start_task(compare.run, "compare")
        self._start_task(holes.run, "black holes")
        if most:
            self._start_task(Canaries(store, answers, connected, self._clock).run, "canaries")

    def _start_task(self, work: Callable[[], Coroutine[None, None, None]], name: str) -> None:
        """Run `work` until the collector stops, and again where it fails: the rest goes on meanwhile."""

        async def keep() -> None:
            while True:
                try:
                    await work()
                except Exception:
                    logger.exception("collector: %s failed, and is started again", name)
                await asyncio.sleep(RESTART_SECONDS)

        task = asyncio.create_task(keep(), name=name)

        async def end() -> None:
            task.cancel()
            await asyncio.wait([task])

        self._closing.push_async_callback(end)

    async def _start_grpc(self, servicer: Servicer) -> None:
        connections = most_connections(self._settings.max_agents)
        server = grpc.aio.server(options=collector_options(connections=connections))
        server.add_generic_rpc_handlers((servicer.handler(),))
        host, port = _split(self._settings.grpc_listen, "grpc_listen")
        try:
            if certificates := self._identities.certificates:
                bound = server.add_secure_port(_join(host, port), certificates.grpc_credentials())
                self._metrics.certificate_end.set_function(lambda: certificates.valid[1])
                self._start_task(certificates.watch, "certificates")
            else:
                bound = server.add_insecure_port(_join(host, port))
        except RuntimeError as error:
            raise StartError(
                f"grpc_listen {self._settings.grpc_listen}: cannot be listened on, is it taken? {error}"
            ) from error
        await server.start()
        self._closing.push_async_callback(server.stop, GRACE_SECONDS)
        self.grpc_address = _join(host, bound)

    async def _start_http(self, api: API) -> None:
        listener = _listen(self._settings.http_listen)
        config = uvicorn.Config(
            api.application(),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # through a port-forward everybody comes from 127.0.0.1, and could say to be anybody
            http=Connection,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(GRACE_SECONDS),
            h11_max_incomplete_event_size=16_384,
        )
        if self._settings.http_tls and (certificates := self._identities.certificates):
            config.load()
            config.ssl = certificates.server_context()
        server = _HTTPServer(config)
        task = asyncio.create_task(server.serve([listener]), name="http")

        async def end() -> None:
            api.close()
            server.should_exit = True
            await asyncio.wait([task])
            listener.close()

        self._closing.push_async_callback(end)
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.005)
        host, port = listener.getsockname()[:2]
        self.http_address = _join(host, port)


async def serve(settings: CollectorSettings) -> None:
    """Run a collector until SIGTERM or SIGINT; raises StartError."""
    _raise_file_limit()
    # Thousands of streams are long-lived objects; looking through them for cycles all the time costs a sixth of a burst.
    gc.set_threshold(20_000, 50, 100)
    _keep_one_arena()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    collector = Collector(settings)
    await collector.start()
    try:
        await ended.wait()
        logger.info("collector: stopping")
    finally:
        await collector.stop()


def _keep_one_arena() -> None:
    # Connections are made by one of gRPC's threads and ended by another; with an arena for each thread, what thousands of them
    # leave behind is not used again, and the process grows with each such wave (glibc: malloc.h, mallopt(3)).
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _raise_file_limit() -> None:
    # Each agent is a connection; the usual soft limit of 1024 would refuse the thousandth node.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen(address: str) -> socket.socket:
    host, port = _split(address, "http_listen")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise StartError(
            f"http_listen {address}: {error.strerror if isinstance(error, OSError) else error}: name a free address and port"
        ) from error
    # Connections inherit it: asyncio sets it only on sockets that name their protocol, which accepted ones do not. Without it,
    # every answer on a connection that is kept waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _split(address: str, key: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit()):
        raise WrongSetting(f"{key} {address!r}: write ADDRESS:PORT, such as 0.0.0.0:8080 or [::]:8080")
    return host, int(port)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
