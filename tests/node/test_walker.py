import asyncio
import contextlib
import gc
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trustme
from walking.certificates import demand_client, pair_of, pem_of, serve
from walking.plans import QUICK, plan_for
from walking.server import Answer, RawServer, Server
from walking.shop import Shop

from pullwhy.model import Outcome
from pullwhy.node.walk import walker as walkers
from pullwhy.node.walk.confine import NOBODY
from pullwhy.node.walk.walker import Walker
from pullwhy.plan import Credential, Endpoint, Timeouts
from pullwhy.secret import Secret
from pullwhy.trace import Trace

pytestmark = pytest.mark.slow

ROOT = os.getuid() == 0


def shop() -> Shop:
    made = Shop()
    made.image("team/app", "1")
    return made


def run(use: Callable[[Walker, Server], Awaitable[None]], respond: Server | None = None, **settings: float) -> None:
    async def go() -> None:
        async with respond or Server(shop().respond) as server, Walker(**settings) as walker:  # type: ignore[arg-type]
            await use(walker, server)

    asyncio.run(go())


def fault(trace: Trace) -> str:
    assert [result.outcome for result in trace.results] == [Outcome.ERROR]
    assert not trace.complete
    return trace.results[0].detail


def script(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def asked(command: tuple[str, ...], **settings: float) -> Trace:
    """Ask a child of the test's own making for one walk."""

    async def go() -> Trace:
        async with Walker(command=command, **settings) as walker:
            return await walker.walk(plan_for(1))

    return asyncio.run(go())


def read(pid: int | None, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def status_of(pid: int | None) -> dict[str, str]:
    lines = read(pid, "status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def gone(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return status_of(pid)["State"].startswith("Z")
    return True


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is the kernel's
            await asyncio.sleep(0.02)


def test_a_walk_is_made_by_a_child_that_is_kept_for_the_next() -> None:
    async def use(walker: Walker, server: Server) -> None:
        assert walker.pid is None
        first = await walker.walk(plan_for(server.port))
        pid = walker.pid
        second = await walker.walk(plan_for(server.port))
        assert first.results[-1].outcome is second.results[-1].outcome is Outcome.PASSED
        assert walker.pid == pid

    run(use)


def test_walks_go_on_side_by_side() -> None:
    async def use(walker: Walker, server: Server) -> None:
        traces = await asyncio.gather(*(walker.walk(plan_for(server.port)) for _ in range(3)))
        assert max(trace.seconds for trace in traces) < 2 * min(trace.seconds for trace in traces)
        assert all(trace.results[-1].outcome is Outcome.SKIPPED for trace in traces)

    run(use, RawServer(None))


def test_a_walk_that_nobody_waits_for_any_more_is_stopped_and_the_others_go_on() -> None:
    async def go() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            begun.set()
            await reader.read()  # until the walk closes its side
            writer.close()
            ended.set()

        async with Server(shop().respond) as server, Walker() as walker:
            deaf = await asyncio.start_server(silent, "127.0.0.1")
            plan = replace(plan_for(deaf.sockets[0].getsockname()[1]), timeouts=Timeouts(answer=60.0, overall=60.0))
            waiting = asyncio.create_task(walker.walk(plan))
            await begun.wait()
            pid = walker.pid
            waiting.cancel()
            async with asyncio.timeout(5):
                await ended.wait()
            assert (await walker.walk(plan_for(server.port))).results[-1].outcome is Outcome.PASSED
            assert walker.pid == pid
            deaf.close()

    asyncio.run(go())


def test_an_idle_child_goes() -> None:
    async def use(walker: Walker, server: Server) -> None:
        await walker.walk(plan_for(server.port))
        pid = walker.pid
        assert pid is not None
        await until(lambda: walker.pid is None and gone(pid))
        assert (await walker.walk(plan_for(server.port))).results[-1].outcome is Outcome.PASSED

    run(use, idle_seconds=0.1)


def test_the_child_is_confined() -> None:
    async def use(walker: Walker, server: Server) -> None:
        await walker.walk(plan_for(server.port))
        pid = walker.pid
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == 0 or not ROOT
        assert status["Threads"] == "1"
        limits = read(pid, "limits")
        for name in ("Max file size", "Max core file size", "Max processes"):
            assert next(line for line in limits.splitlines() if line.startswith(name)).split()[-3] == "0"
        if ROOT:
            assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
            assert status["Groups"] == ""
            assert os.readlink(f"/proc/{pid}/cwd") == "/"  # noqa: PTH115
            assert leaked not in {os.stat(f"/proc/{pid}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH116, PTH208

    reader, writer = os.pipe()
    leaked = os.fstat(reader).st_ino
    os.set_inheritable(reader, True)
    try:
        run(use)
    finally:
        os.close(reader)
        os.close(writer)


def test_capabilities_do_not_survive_where_the_kernel_is_told_to_keep_them() -> None:
    program = (
        "import ctypes, os\nfrom pullwhy.node.walk.confine import confine\n"
        "ctypes.CDLL(None).prctl(8, 1, 0, 0, 0)\nstatus = os.open('/proc/self/status', os.O_RDONLY)\nos.dup2(status, 0)\n"
        "confine(os.getppid())\nprint(os.read(0, 65536).decode())\n"
    )
    done = subprocess.run(script(program), capture_output=True, text=True, check=True)
    sets = {line.split(":")[0]: line.split()[1] for line in done.stdout.splitlines() if line.startswith("Cap")}
    assert {int(sets[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


def test_a_client_pair_can_be_loaded_in_confinement() -> None:
    authority = trustme.CA()
    context = demand_client(serve(authority.issue_cert("registry.test")), authority, ssl.TLSVersion.TLSv1_3)

    async def use(walker: Walker, server: Server) -> None:
        pair = pair_of(authority.issue_cert("node.test"))
        endpoint = Endpoint("https", "registry.test", server.port, ca=(pem_of(authority),), client=(pair,))
        trace = await walker.walk(replace(plan_for(server.port), endpoints=(endpoint,)))
        assert trace.results[-1].outcome is Outcome.PASSED

    run(use, Server(shop().respond, context))


def test_the_child_ends_with_its_parent() -> None:
    program = (
        "import asyncio, os, sys\n"
        "from pullwhy.node.walk.childprocess import ChildProcess\n"
        "from pullwhy.node.walk.walker import Walker\n"
        "async def main():\n"
        "    walker = Walker()\n"
        "    child = await walker._ready()\n"
        "    await asyncio.sleep(1.0)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(script(program), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        parent.wait()
    asyncio.run(until(lambda: gone(pid)))


def test_the_parent_loads_no_library_of_the_walk() -> None:
    program = "import sys, pullwhy.node.walk.walker; print(*sorted(sys.modules))"
    done = subprocess.run(script(program), capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"h11", "dns", "cryptography"}
    assert not [name for name in done.stdout.split() if name.startswith("pullwhy.probe")]


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import sys; sys.stdin.buffer.read(1); sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
        ("import os; os.read(0, 1); os.write(1, b'\\xff' * 100)", "frame of 4294967295 bytes"),
        ("import os; os.read(0, 1); os.write(1, b'\\0\\0\\0\\x02{}')", "no TraceFrame"),
        ("import os; os.read(0, 1); os.write(1, b'\\0\\0\\0\\x09cut')", "ended"),
    ],
)
def test_a_child_that_ends_or_talks_nonsense_is_an_error_and_never_a_crash(program: str, word: str) -> None:
    assert word in fault(asked(script(program)))


def test_a_child_that_cannot_be_started_is_an_error() -> None:
    assert "cannot be started" in fault(asked(("/nonexistent/python",)))


def test_an_answer_to_nobody_is_passed_over() -> None:
    stranger = msgspec.json.encode({"id": 999, "trace": {}})
    program = f"import os, time\nos.write(1, ({len(stranger)}).to_bytes(4, 'big') + {stranger!r})\ntime.sleep(60)\n"
    plan = replace(plan_for(1), timeouts=replace(QUICK, overall=0.2))

    async def go() -> Trace:
        async with Walker(command=script(program), grace=0.3) as walker:
            return await walker.walk(plan)

    assert "did not answer within" in fault(asyncio.run(go()))


def test_a_child_that_hangs_is_killed_and_the_next_walk_has_another() -> None:
    async def use(walker: Walker, server: Server) -> None:
        await walker.walk(plan_for(server.port))
        pid = walker.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        short = replace(plan_for(server.port), timeouts=replace(QUICK, overall=0.1))
        assert "was killed" in fault(await walker.walk(short))
        await until(lambda: gone(pid))
        assert (await walker.walk(plan_for(server.port))).results[-1].outcome is Outcome.PASSED
        assert walker.pid != pid

    run(use, grace=0.3)


def test_a_walk_that_lost_its_child_to_another_is_made_again() -> None:
    async def use(walker: Walker, server: Server) -> None:
        await walker.walk(plan_for(server.port))
        assert walker.pid is not None
        slow = [asyncio.create_task(walker.walk(plan_for(server.port))) for _ in range(2)]
        await asyncio.sleep(0.1)
        os.kill(walker.pid, signal.SIGKILL)
        for trace in await asyncio.gather(*slow):
            assert not [result for result in trace.results if result.outcome is Outcome.ERROR]

    run(use, Server(lambda _: Answer(hold=True, raw=b"")))


def test_a_walk_that_is_cancelled_leaves_the_child_in_service() -> None:
    async def use(walker: Walker, server: Server) -> None:
        task = asyncio.create_task(walker.walk(plan_for(server.port)))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pid = walker.pid
        assert (await walker.walk(plan_for(server.port))).results
        assert walker.pid == pid

    run(use, RawServer(None))


def test_secrets_go_through_and_come_back_in_no_trace() -> None:
    async def use(walker: Walker, server: Server) -> None:
        credential = Credential("robot", Secret("canary"), "config.json")
        trace = await walker.walk(replace(plan_for(server.port), credentials=(credential,)))
        assert any("authorization" in got.headers for got in server.requests)
        assert b"canary" not in msgspec.json.encode(trace)

    run(use, Server(lambda _: Answer(401, {"WWW-Authenticate": 'Basic realm="x"'})))


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    yield
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_a_thousand_walks_leave_no_descriptor_no_process_and_no_memory() -> None:
    children: set[int] = set()

    async def use(walker: Walker, server: Server) -> None:
        for _ in range(250):
            traces = await asyncio.gather(*(walker.walk(plan_for(server.port)) for _ in range(4)))
            assert not [r for trace in traces for r in trace.results if r.outcome is Outcome.ERROR]
            assert walker.pid is not None
            children.add(walker.pid)
        assert int(status_of(walker.pid)["VmRSS"].split()[0]) < 80_000
        assert len(os.listdir(f"/proc/{walker.pid}/fd")) < 20  # noqa: PTH208

    with no_more_descriptors():
        run(use, Server(lambda _: Answer(404)))
    assert len(children) >= 1000 // walkers.MAX_WALKS
    assert all(gone(pid) for pid in children)
