"""`make demo`: two nodes, a registry, real faults; two agents and a collector find them."""

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from matrix.catalogue import CORE
from matrix.fault import FAST

from e2e.world import PULLWHY, World, running

from lab import lab as labs
from lab.errors import LabError
from lab.node import Node

SHOWN = (
    "tag missing",
    "latest assumed",
    "repository missing",
    "platform missing",
    "credentials missing",
    "CA missing",
    "certificate expired",
    "plain HTTP",
    "name unknown",
    "connection refused",
    "rate limit",
    "blob host unknown",
    "reference invalid",
    "policy Never",
)
ON_ONE_NODE = "connection blocked"
EXPLAINED = "CA missing"
SECONDS = 90
SCOPE_SECONDS = 15


def say(text: str = "") -> None:
    """Show progress."""
    print(text, flush=True)


def step(text: str) -> None:
    """Show what begins now, with the seconds since the start."""
    say(f"[{time.monotonic() - START:5.1f} s] {text}")


START = time.monotonic()


def make_faults(world: World, node: Node, names: tuple[str, ...]) -> None:
    """Make the faults, and a pod for each, and one pod that works."""
    for fault in (fault for fault in CORE if fault.name in names):
        spec = fault.make(world.servers, node)
        node.kubelet.add_pod(
            fault.pod, spec.image, namespace="shop", pull_policy=spec.pull_policy, credentials=spec.credentials
        )
    node.kubelet.add_pod("healthy", f"{world.servers.plain_for(node).host}/shop/web:stable", namespace="shop")


def wait_for_findings(world: World, wanted: int) -> int:
    """Show findings as they come, until there are as many as *wanted*, each with its walk done."""
    done = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and done < wanted:
        found = [one for one in world.findings() if one["state"] == "Active" and one["trace"]]
        if len(found) > done:
            done = len(found)
            step(f"{done} of {wanted} findings")
        time.sleep(0.5)
    return done


def wait_for_scope(world: World, registry: str) -> None:
    """Wait until the other node was asked about this registry, as far as it answers."""
    words: list[str | Path] = [PULLWHY, "problems", "--registry", registry, "--server", world.url, "-o", "json"]
    end = time.monotonic() + SCOPE_SECONDS
    while time.monotonic() < end:
        found = json.loads(world.lab.servers.run(words).stdout)
        if found and all(one["scope"]["verdict"] != "Unknown" for one in found):
            return
        time.sleep(0.5)


def show(world: World, *words: str) -> None:
    """Run a pullwhy command as an SRE would type it, and show it."""
    say()
    say(f"$ pullwhy {' '.join(words)}")
    say(world.lab.servers.run([world.pullwhy, *words, "--server", world.url]).stdout.rstrip())


def demonstrate(world: World) -> None:
    """Play the whole job."""
    step("two nodes, each with containerd, journald, a stand-in for the kubelet, and the pullwhy agent")
    generations = labs.generations(world.lab.components)
    first = world.node("node-a", containerd=generations[0], kubelet=FAST)
    second = world.node("node-b", containerd=generations[-1], kubelet=FAST)
    for node in (first, second):
        say(f"           {node.name}: containerd {node.containerd.version}")
    step(f"{len(SHOWN)} faults on both nodes, and one on {second.name} alone")
    make_faults(world, first, SHOWN)
    first.trust(world.servers.walled.place, world.lab.authority.pem)  # so that it may be asked about this registry
    make_faults(world, second, (*SHOWN, ON_ONE_NODE))
    wanted = 2 * len(SHOWN) + 1
    done = wait_for_findings(world, wanted)
    show(world, "findings", "-A")
    walled = world.servers.walled.host
    say()
    say(f"Both nodes fail alike, but for {walled}: only {second.name} has a firewall in its way.")
    wait_for_scope(world, walled)
    show(world, "problems")
    show(world, "probe", f"{walled}/shop/web:1.0", "--all-nodes")
    explained = next(fault for fault in CORE if fault.name == EXPLAINED)
    show(world, "explain", f"pod/{explained.pod}", "--node", second.name)
    show(world, "nodes")
    say()
    step(f"{done} of {wanted} findings are there, of {len(SHOWN) + 1} faults")
    say(NEXT)
    if done < wanted:
        raise LabError(f"only {done} of {wanted} findings were there after {SECONDS} s")


NEXT = """
What to type next, on a machine of your own:
  .venv/bin/pullwhy doctor                     what pullwhy can see here, with the mend for what it cannot
  .venv/bin/pullwhy diagnose IMAGE             one walk from this machine
  .venv/bin/pullwhy scan --journal /var/log/journal
  .venv/bin/pullwhy agent --standalone         an agent with a collector inside; then, in another terminal:
  .venv/bin/pullwhy findings -A                node by node
  .venv/bin/pullwhy problems                   one row for each fault
  .venv/bin/pullwhy probe IMAGE --all-nodes    have its nodes walk the pull path
"""


def interrupted(_number: int, _frame: FrameType | None) -> None:
    """Leave through the context managers, which clean up."""
    raise KeyboardInterrupt


def main() -> int:
    """Play the demo and leave nothing behind."""
    signal.signal(signal.SIGTERM, interrupted)
    try:
        step("servers: DNS, registries, a registry that misbehaves, a collector")
        with labs.running() as lab, running(lab) as world:
            demonstrate(world)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; nothing is left behind", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
