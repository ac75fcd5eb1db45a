"""Walks the pull path of one image from this node, endpoint after endpoint, under one overall deadline."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Endpoint, WalkPlan
from pullwhy.probe.client import Client
from pullwhy.probe.clock import Clock
from pullwhy.probe.destinations import Destinations
from pullwhy.probe.nameserver import Asking
from pullwhy.probe.network import Network
from pullwhy.probe.record import Recorder
from pullwhy.probe.registry import Earlier, Registry
from pullwhy.probe.route import Route
from pullwhy.probe.tools import Tools
from pullwhy.probe.trust import Contexts
from pullwhy.trace import StageResult, Trace

MAX_ENDPOINTS: Final = 8
"""Endpoints walked for one image."""
MAX_DNS_TRIES: Final = 2
"""Tries that share the plan's DNS timeout; Go's default attempts."""
_PATH: Final = (Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.AUTH, Stage.MANIFEST, Stage.PLATFORM, Stage.BLOB)


def _random_id() -> int:
    return secrets.randbelow(65_536)


async def walk(
    plan: WalkPlan,
    network: Network,
    clock: Clock,
    contexts: Contexts | None = None,
    dns_ids: Callable[[], int] = _random_id,
) -> Trace:
    """Walk `plan` and return what was seen; raises nothing but CancelledError.

    The endpoints are tried as the runtime would: the next one only where one did not serve the image. What was seen when the overall
    deadline came is kept, and the trace says that it is not complete. `contexts` may be shared between walks.
    """
    recorder = Recorder(clock)
    tries = max(1, min(plan.resolver.attempts, MAX_DNS_TRIES))
    asking = Asking(network, clock, plan.timeouts.dns / tries, tries, plan.resolver.use_tcp, dns_ids)
    tools = Tools(plan, network, clock, recorder, contexts or Contexts(), Destinations.of(plan), asking)
    complete = True
    try:
        async with asyncio.timeout(plan.timeouts.overall):
            await _endpoints(tools)
    except TimeoutError:
        complete = False
    return recorder.trace(complete=complete)


async def _endpoints(tools: Tools) -> None:
    """Ask one endpoint after the other, until one serves the image.

    Those that the runtime passes over at first are asked for the content by digest, once another one has named it: before that one if
    they come before it, since capabilities count for the reference only (containerd 2.1: core/remotes/docker/fetcher.go).
    """
    waiting: list[StageResult] = []
    plan = tools.plan

    async def earlier(digest: str) -> bool:
        tools.plan = replace(plan, image=replace(plan.image, digest=digest))
        while waiting:
            passed_over = waiting.pop(0)
            tools.recorder.take_back(passed_over)
            if await _endpoint(tools, passed_over.endpoint or 0, earlier):
                return True
        return False

    for index, endpoint in enumerate(plan.endpoints[:MAX_ENDPOINTS]):
        why = _passed_over(plan, endpoint) if tools.plan is plan else ""
        if why:
            via = Via.MIRROR if endpoint.is_mirror else None
            waiting.append(
                StageResult(Stage.MANIFEST, endpoint.authority, Outcome.SKIPPED, detail=why, endpoint=index, via=via)
            )
            tools.recorder.add(waiting[-1])
        elif await _endpoint(tools, index, earlier):
            break


def _passed_over(plan: WalkPlan, endpoint: Endpoint) -> str:
    """Return why the runtime does not ask an endpoint, empty where it does (containerd 2.1: core/remotes/docker/resolver.go)."""
    if not endpoint.pull:
        return "its configuration gives it no pull capability"
    if not plan.image.digest and not endpoint.resolve:
        return "its configuration gives it no resolve capability, and a tag must be resolved"
    return ""


async def _endpoint(tools: Tools, index: int, earlier: Earlier) -> bool:
    endpoint = tools.plan.endpoints[index]
    route = Route(tools, endpoint, index)
    served = False
    try:
        with tools.recorder.guard(endpoint.authority, index):
            served = await Registry(Client(route), earlier).walk()
    finally:
        route.close()
    _fill(tools.recorder, endpoint, index)
    return served


def _fill(recorder: Recorder, endpoint: Endpoint, index: int) -> None:
    """Name the stages that were not reached, so that a reader never takes silence for success."""
    own = [result for result in recorder.results if result.endpoint == index]
    reached = {result.stage for result in own}
    stopped = _stopped(own)
    if stopped is None:
        return
    via = Via.MIRROR if endpoint.is_mirror else None
    for stage in _PATH:
        if stage in reached or (stage is Stage.TLS and endpoint.scheme == "http"):
            continue
        if _PATH.index(stage) < max((_PATH.index(one) for one in reached if one in _PATH), default=-1):
            continue
        why = f"not reached: {stopped.stage} {stopped.outcome.lower()}"
        recorder.add(StageResult(stage, endpoint.authority, Outcome.SKIPPED, detail=why, endpoint=index, via=via))


def _stopped(own: list[StageResult]) -> StageResult | None:
    """Return the result that ended an endpoint's way; None where nothing did.

    What was skipped ends it only where nothing failed (a place that is not dialled, the deadline), and then the last of these: the
    runtime's fallback to plain HTTP skips TLS and goes on.
    """
    ends = (Outcome.FAILED, Outcome.ERROR)
    skipped = (result for result in reversed(own) if result.outcome is Outcome.SKIPPED)
    return next((result for result in own if result.outcome in ends), None) or next(skipped, None)
