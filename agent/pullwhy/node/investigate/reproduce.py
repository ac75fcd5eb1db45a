"""Asking the runtime itself: whether a pull over CRI is safe and would tell something, and the pull."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from pullwhy.frozen import frozen
from pullwhy.model import Outcome, Reproduction, Stage
from pullwhy.runtime.cri import CRIError
from pullwhy.trace import ConfigFault, StageResult, Trace

DEADLINE: Final = 45.0
"""Seconds for one reproduction: the runtime gives up dialling an address after 30 (containerd: core/remotes/docker/config)."""
LEAST_FREE: Final = 0.10
"""Share of a filesystem below which nothing is pulled; the kubelet collects images from 85 percent on (imageGCHighThresholdPercent)."""
MAX_REMEMBERED: Final = 500

_EARLY: Final = frozenset(
    {Stage.PROXY, Stage.DNS, Stage.CONNECT, Stage.TLS, Stage.AUTH, Stage.MANIFEST, Stage.PLATFORM}
)
"""Stages that a pull passes before it downloads a layer."""
_TOO_MANY: Final = 429


class Policy(enum.StrEnum):
    """Whether the runtime is asked to pull."""

    SAFE = "safe"
    ALWAYS = "always"
    NEVER = "never"


class Puller(Protocol):
    """The one call of the CRI client that is needed here."""

    async def pull(self, image: str, deadline: float) -> str:
        """Pull an image; raises CRIError."""


@frozen(kw_only=True)
class Situation:
    """What the decision rests on."""

    trace: Trace | None
    """The walk, with the results of what precedes it: reference, configuration, storage."""
    proved: bool = False
    """Whether the walk failed in the same way as the kubelet's pull: then a pull tells nothing new."""
    limited: bool = False
    """Whether the registry's rate limit is the cause."""
    credentials_sent: bool | None = None
    """Whether the kubelet's pull carried credentials, which this one would not."""
    credentials_held: tuple[str, ...] = ()
    """Endpoints for which the runtime itself holds credentials."""
    runtime_answers: bool = True
    previous: datetime | None = None
    """The last reproduction of this image."""
    window: timedelta = timedelta(seconds=300)
    """The kubelet's present back-off."""
    now: datetime


def decide(policy: Policy, situation: Situation) -> str:
    """Return why the runtime is not asked to pull; nothing where it is to be asked.

    `safe` asks where the walk predicts that the pull fails before any layer is downloaded, and nothing is at risk; `always`
    minds only what would harm the node or the registry.
    """
    results = situation.trace.results if situation.trace else ()
    if policy is Policy.NEVER:
        return "switched off (reproduce = never)"
    if not situation.runtime_answers:
        return "the runtime does not answer"
    if any(each.stage is Stage.REFERENCE and each.outcome is Outcome.FAILED for each in results):
        return "the reference is invalid: the kubelet refuses it before it asks the runtime"
    if situation.limited or any(each.http is not None and each.http.status == _TOO_MANY for each in results):
        return "the registry's rate limit is used up: another pull would count against it"
    if _nearly_full(results):
        return "a filesystem of the runtime is nearly full"
    if situation.previous is not None and situation.now - situation.previous < situation.window:
        return "asked already within the kubelet's present back-off"
    return "" if policy is Policy.ALWAYS else _risk(situation)


def _risk(situation: Situation) -> str:
    if situation.proved:
        return "not needed: the walk failed in the same way as the kubelet's own pull"
    if situation.credentials_held:
        hosts = ", ".join(situation.credentials_held[:3])
        return f"the runtime holds, or may hold, credentials for {hosts}: an image pulled with them would be open to every pod"
    if situation.credentials_sent:
        return "the kubelet sent credentials that this pull would not have"
    if situation.trace is None:
        return "no walk was made that could predict the outcome"
    if not fails_early(situation.trace):
        return "the walk does not predict a failure before layers are downloaded"
    return ""


def fails_early(trace: Trace) -> bool:
    """Whether the walk predicts that a pull fails before it downloads a layer.

    Every endpoint must have failed, under every identity: what one of them serves, the runtime would download.
    """
    if any(_decides(each) for each in trace.results):
        return True
    if not trace.complete:
        return False
    endpoints: dict[int, list[StageResult]] = {}
    for result in trace.results:
        if result.stage in _EARLY and result.endpoint is not None:
            endpoints.setdefault(result.endpoint, []).append(result)
    return bool(endpoints) and all(_endpoint_fails(results) for results in endpoints.values())


def _decides(result: StageResult) -> bool:
    facts = result.config
    return (
        facts is not None
        and result.outcome is Outcome.FAILED
        and facts.decides
        and facts.fault is not ConfigFault.IGNORED
    )


def _endpoint_fails(results: list[StageResult]) -> bool:
    platforms = [each.outcome for each in results if each.stage is Stage.PLATFORM]
    if Outcome.FAILED in platforms and Outcome.PASSED not in platforms:
        return True
    if any(each.stage is Stage.MANIFEST and each.outcome is Outcome.PASSED for each in results):
        return False
    return any(each.outcome is Outcome.FAILED for each in results)


def _nearly_full(results: tuple[StageResult, ...]) -> bool:
    return any(
        facts.free_bytes < facts.total_bytes * LEAST_FREE or facts.free_inodes < facts.total_inodes * LEAST_FREE
        for each in results
        if (facts := each.storage) is not None
    )


@dataclass(slots=True)
class Reproducer:
    """Pulls one image at a time, under a deadline, and remembers when."""

    puller: Puller
    clock: Callable[[], datetime]
    deadline: float = DEADLINE
    _times: dict[str, datetime] = field(default_factory=dict)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def previous(self, image: str) -> datetime | None:
        """Return when the runtime was last asked for `image`."""
        return self._times.get(image)

    async def pull(self, image: str) -> Reproduction:
        """Ask the runtime; cancelling this stops its pull too. It never removes an image."""
        self._remember(image, self.clock())  # before the wait: another case of this image may be decided meanwhile
        async with self._one_at_a_time:
            began = self.clock()
            self._remember(image, began)
            outcome = await self._pull(image)
            seconds = round((self.clock() - began).total_seconds(), 3)
        return Reproduction(*outcome, seconds=max(0.0, seconds))

    async def _pull(self, image: str) -> tuple[str, str, str, str]:
        """Return outcome, reason, gRPC code and message."""
        try:
            reference = await self.puller.pull(image, self.deadline)
        except CRIError as error:
            if error.code == "DeadlineExceeded" and not error.message.startswith(("failed", "rpc error")):
                return (
                    "Error",
                    f"the pull neither failed nor ended within {self.deadline:g} s, and was cancelled",
                    "",
                    "",
                )
            return "Failed", "", error.code, error.message
        came = "the fault cleared meanwhile: the runtime pulled the image, which is on the node now"
        return "Succeeded", f"{came} ({reference})" if reference else came, "OK", ""

    def _remember(self, image: str, when: datetime) -> None:
        self._times.pop(image, None)
        if len(self._times) >= MAX_REMEMBERED:
            self._times.pop(next(iter(self._times)))
        self._times[image] = when
