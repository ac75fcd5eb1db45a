"""Plans for walks to the tests' own servers."""

from dataclasses import replace

from pullwhy.image import parse
from pullwhy.plan import Endpoint, Resolver, Timeouts, WalkPlan
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.network import Network, RealNetwork
from pullwhy.probe.walk import walk
from pullwhy.trace import StageResult, Trace

HOST = "registry.test"
QUICK = Timeouts(overall=8.0, dns=0.4, connect=0.5, handshake=0.5, answer=0.5, blob=0.5)
NAMES = ("registry.test", "mirror.test", "auth.test", "blobs.test", "proxy.test")


def plan_for(
    port: int, image: str = "team/app:1", *, scheme: str = "http", host: str = HOST, **changes: object
) -> WalkPlan:
    """Return a plan for one endpoint on loopback; `changes` are fields of the plan."""
    plan = WalkPlan(
        image=parse(f"{host}:{port}/{image}"),
        platform="linux/amd64",
        endpoints=(Endpoint(scheme, host, port),),
        resolver=Resolver(nameservers=(), hosts=(("127.0.0.1", NAMES),)),
        timeouts=QUICK,
        local_addresses_allowed=True,
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


async def walked(plan: WalkPlan, network: Network | None = None) -> Trace:
    return await walk(plan, network or RealNetwork(), SystemClock())


def told(trace: Trace) -> list[str]:
    """Return the trace as `Stage Outcome` words, with the identity where there is one."""
    return [" ".join(filter(None, (result.stage, result.outcome, result.identity))) for result in trace.results]


def failed(trace: Trace) -> StageResult:
    """Return the first failed result."""
    return next(result for result in trace.results if result.outcome == "Failed")
