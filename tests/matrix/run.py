"""Plays faults on nodes of one generation of containerd, and notes what the agents find and what their remedies do."""

import concurrent.futures
import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.world import World, running

from matrix import mend
from matrix.fault import Fault, Home, PodSpec
from matrix.watcher import Seen, Watcher, watching

from lab import packages
from lab.errors import LabError, wait_for
from lab.kubelet.pods import Pod
from lab.lab import Lab
from lab.node import Node

ANSWER_SECONDS = 75.0
"""How long an answer that is not the expected one may still change."""
SETTLE_SECONDS = 2.0
"""How long an answer must stay as it was expected."""
AT_ONCE = 4
"""Faults that are played at once on one node, and nodes of their own that run at once."""
HARMLESS = frozenset({"look-further", "watch-pattern"})
"""Remedies that change nothing: where a cause is not found they are no wrong advice."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation of containerd, with one of its two ways to pull."""

    name: str
    containerd: str
    local: bool = False
    """Whether it pulls without the transfer service, which 2.x does only where it is told to."""


GENERATIONS = (
    Generation("1.6", "1.6"),
    Generation("1.7", "1.7"),
    Generation("2.1", "2.1"),
    Generation("2.1-local", "2.1", local=True),
)


def at_hand() -> Generation:
    """Return 2.1, or what PULLWHY_LAB_CONTAINERD replaces all generations by; a newer one plays the faults of 2.1."""
    named = os.environ.get("PULLWHY_LAB_CONTAINERD")
    if not named:
        return next(each for each in GENERATIONS if each.name == "2.1")
    found = ".".join(packages.version(Path(named)).split(".")[:2])
    known = {each.name for each in GENERATIONS}
    return Generation(found if found in known else "2.1", found)


@dataclass(frozen=True, slots=True)
class Result:
    """What was found of one fault on one generation."""

    generation: str
    fault: Fault
    seen: Seen | None
    requests: int = 0
    """How many requests the walk made at registries."""
    mended: mend.Mended | None = None
    trouble: str = ""
    """What kept the lab from playing it; it counts as a wrong answer."""

    @property
    def told(self) -> tuple[str, str, str | None]:
        """Cause, stage and via as they were found."""
        if self.seen is None:
            return "none", "none", None
        found = self.seen.finding
        return found["cause"], found["stage"], found["via"]

    @property
    def right(self) -> bool:
        """Whether cause, stage and via are those that follow from how the fault was made, with its factors."""
        if self.seen is None or self.told != (self.fault.cause, self.fault.stage, self.fault.via):
            return False
        return set(self.fault.factors) <= set(self.seen.finding["factors"])

    @property
    def confidence(self) -> str:
        """The confidence of the answer."""
        return self.seen.finding["confidence"] if self.seen else "none"

    @property
    def reproduction(self) -> str:
        """The outcome of asking the runtime."""
        return (self.seen.finding["reproduction"] or {}).get("outcome", "") if self.seen else ""

    @property
    def remedy(self) -> str:
        """The id of the remedy that was given."""
        return self.seen.finding["remedy"]["id"] if self.seen else ""

    @property
    def wrong_remedy(self) -> bool:
        """Whether a remedy was given that does not mend this fault."""
        if self.mended is not None and self.mended.fault:
            return True
        return bool(self.remedy) and self.remedy not in {self.fault.expected_remedy, *HARMLESS}


class Player:
    """Plays faults in one world; *say* is told each result as it comes."""

    def __init__(self, world: World, watcher: Watcher, generation: Generation, say: Callable[[Result], None]) -> None:
        self._world, self._watcher, self._generation, self._say = world, watcher, generation, say
        self._making = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._starting: dict[str, threading.Lock] = {}

    def play(self, faults: Sequence[Fault], at_once: int = AT_ONCE) -> list[Result]:
        """Play the faults, those of one home on one node, several at once; return their results in the same order."""
        homes = {fault.home.name: fault.home for fault in faults}
        with contextlib.ExitStack() as pools:
            threads = {
                name: pools.enter_context(concurrent.futures.ThreadPoolExecutor(at_once, thread_name_prefix=name))
                for name in homes
            }
            self._starting = {name: threading.Lock() for name in homes}
            waiting = [threads[fault.home.name].submit(self._one, fault) for fault in faults]
            return [each.result() for each in waiting]

    def _one(self, fault: Fault) -> Result:
        try:
            result = self._on_node(fault)
        except (LabError, OSError, ValueError) as error:  # one fault that cannot be played is not to hide the others
            result = Result(self._generation.name, fault, None, trouble=f"{type(error).__name__}: {error}"[:2000])
        self._say(result)
        return result

    def _on_node(self, fault: Fault) -> Result:
        if not fault.home.private:
            with self._starting[fault.home.name]:
                if fault.home.name not in self._nodes:
                    self._nodes[fault.home.name] = self._start(fault.home, fault.home.name)
            return self._with(self._nodes[fault.home.name], fault)
        node = self._start(fault.home, fault.pod)
        try:
            return self._with(node, fault)
        finally:
            self._world.end(node)

    def _start(self, home: Home, name: str) -> Node:
        return self._world.node(
            name[:40].rstrip("-"),
            containerd=self._generation.containerd,
            settings=dataclasses.replace(home.settings, use_local_image_pull=self._generation.local),
            kubelet=home.kubelet,
            watch=dict(home.watch),
            preload_sandbox=home.preload_sandbox,
        )

    def _with(self, node: Node, fault: Fault) -> Result:
        with self._making:
            spec = fault.make(self._world.servers, node)
        pod = node.kubelet.add_pod(
            fault.pod,
            spec.image,
            pull_policy=spec.pull_policy,
            credentials=spec.credentials,
            missing_secrets=spec.missing_secrets,
        )
        try:
            if fault.then is not None:
                wait_for("the first failure", lambda: _failed(node, pod), seconds=60, every=0.2)
                fault.then(self._world.servers, node)
            result = self._answer(node, fault, spec)
            if fault.mend is not None and result.right and result.seen is not None:
                values = fault.mend(self._world.servers, node)
                mended = mend.apply(node, spec, result.seen.finding["remedy"], values)
                result = dataclasses.replace(result, mended=mended)
            return result
        finally:
            node.kubelet.remove_pod(pod)

    def _answer(self, node: Node, fault: Fault, spec: PodSpec) -> Result:
        """Return what is told once the answer is right and stays so, or no longer changes."""
        end = time.monotonic() + ANSWER_SECONDS
        before = self._world.servers.asked(node, spec.image)
        result = Result(self._generation.name, fault, None)
        right_since: float | None = None
        while self._watcher.wait(end):
            result = Result(self._generation.name, fault, self._watcher.of(node.name, fault.pod, spec.image))
            settled = result.right and result.confidence in {fault.confidence, "Proved"}
            right_since = (right_since or time.monotonic()) if settled else None
            if right_since is not None and time.monotonic() - right_since > SETTLE_SECONDS:
                break
        return dataclasses.replace(result, requests=self._world.servers.asked(node, spec.image) - before)


def _failed(node: Node, pod: Pod) -> bool:
    return any("Error syncing pod" in line and pod.uid in line for line in node.journal.lines())


@contextlib.contextmanager
def playing(lab: Lab, generation: Generation, say: Callable[[Result], None]) -> Iterator[Player]:
    """Run a world in which faults can be played."""
    with running(lab) as world, watching(world) as watcher:
        yield Player(world, watcher, generation, say)


def belongs(fault: Fault, generation: Generation) -> bool:
    """Whether it is a fault on this generation."""
    return not fault.generations or generation.name in fault.generations
