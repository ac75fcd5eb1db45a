"""`kubectl pullwhy doctor`: whether pullwhy can be asked from here and sees every node, or, in its pod, what one agent sees."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pullwhy.cli.client import Forbidden
from pullwhy.cli.doctor import add_exit_code, answer
from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.query import add_output
from pullwhy.node.check import Check
from pullwhy.text import printable

if TYPE_CHECKING:
    from pullwhy.cli.client import Client
    from pullwhy.cli.kubectl.session import Session

NODES: Final = "/api/v1/nodes"
MOST_NODES: Final = 1_000_000
AGENT: Final = "pullwhy-agent"
CONTAINER: Final = "agent"
_SELECTOR: Final = f"--selector=app.kubernetes.io/name={AGENT}"
_NODE: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")
"""RFC 1123 subdomain."""
_ASK_KUBECTL: Final = (
    "see what kubectl itself says: kubectl get pods --all-namespaces --selector=app.kubernetes.io/part-of=pullwhy"
)
_NAMED: Final = 5
"""Nodes that one check names."""


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    deletion_timestamp: str | None = None


class _PodStatus(msgspec.Struct):
    phase: str = ""


class _Pod(msgspec.Struct):
    metadata: _Metadata
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _Pods(msgspec.Struct):
    items: tuple[_Pod, ...] = ()


class _DaemonSetStatus(msgspec.Struct, rename="camel"):
    desired_number_scheduled: int = 0
    number_ready: int = 0


class _DaemonSet(msgspec.Struct):
    status: _DaemonSetStatus


class _DaemonSets(msgspec.Struct):
    items: list[_DaemonSet]
    """Each kind of node may have its own."""


class _ClientVersion(msgspec.Struct, rename="camel"):
    git_version: str


class _Version(msgspec.Struct, rename="camel"):
    client_version: _ClientVersion


class _Record(msgspec.Struct):
    name: str
    ok: bool
    found: str
    mend: str = ""
    skipped: bool = False


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="say whether pullwhy can be asked from here and sees every node; with --node, what its agent sees there",
        description="Looks at everything from here to the agents and says how to mend what is not well. With --node, runs "
        "`pullwhy doctor` in the agent's pod of that node. Exit code: 0 whatever was found, with --exit-code 1 where a check "
        "fails, 64 usage error.",
    )
    parser.add_argument("--node", default="", help="look from the agent's pod on this node, by kubectl exec")
    add_output(parser)
    add_exit_code(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look and return the exit code."""
    from pullwhy.cli.kubectl.session import Session  # noqa: PLC0415 - not for --help

    if not options.node:
        return answer(list(_installation(options)), options)
    if not _NODE.match(options.node):
        raise CommandError(f"--node {printable(options.node, 200)}: no name of a node", EX_USAGE)
    with Session(options) as session:
        return answer(_on_node(session, options), options)


def _on_node(session: Session, options: argparse.Namespace) -> list[Check]:
    where = f"--namespace={options.pullwhy_namespace}"
    listed = session.kubectl.ask(
        "get", "pods", where, _SELECTOR, f"--field-selector=spec.nodeName={options.node}", "--output=json"
    )
    pods = [each for each in _decoded(listed, _Pods, "get pods").items if not each.metadata.deletion_timestamp]
    see = f"kubectl get pods {where} {_SELECTOR} --output=wide"
    if not pods:
        raise CommandError(f"no agent is on node {options.node}; see where there are some: {see}")
    running = [each for each in pods if each.status.phase == "Running"]
    if not running:
        raise CommandError(f"the agent on node {options.node} is {printable(pods[0].status.phase, 50)}; see why: {see}")
    name = running[0].metadata.name
    words = ("exec", where, name, f"--container={CONTAINER}", "--", "pullwhy", "doctor", "--output=json")
    records = _decoded(session.kubectl.ask(*words), tuple[_Record, ...], "exec")
    return [Check(each.name, each.ok, each.found, each.mend, each.skipped) for each in records]


def _decoded(document: bytes, kind: Any, word: str) -> Any:
    try:
        return msgspec.json.decode(document, type=kind)
    except msgspec.DecodeError as error:
        raise CommandError(f"kubectl {word}: the answer cannot be read: {error}") from None


def _installation(options: argparse.Namespace) -> Iterator[Check]:
    from pullwhy.cli.kubectl.session import Session  # noqa: PLC0415 - not for --help

    looks: tuple[tuple[str, Callable[[_Look], Check]], ...] = (
        ("kubectl", _Look.kubectl),
        ("kubeconfig", _Look.kubeconfig),
        ("identity", _Look.identity),
        ("port-forward", _Look.tunnel),
        ("collector", _Look.collector),
        ("connected agents", _Look.connected),
        ("what agents see", _Look.sight),
    )
    try:
        session = Session(options)
    except CommandError as error:
        yield Check("kubectl", False, str(error), "install kubectl, or put it in PATH")
        return
    failed = ""
    with session:
        look = _Look(session)
        for name, one in looks:
            if failed:
                yield Check(name, True, f"not looked at: {failed} comes first", skipped=True)
                continue
            try:
                yield one(look)
            except CommandError as error:
                failed = name
                found, _, mend = str(error).partition("; ")
                yield Check(name, False, found, mend or _ASK_KUBECTL)
        yield look.pods()


class _Look:
    """The looks in their order; each needs what those before it found."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._client: Client | None = None
        self._nodes: list[dict[str, Any]] = []
        self._hidden = ""

    def kubectl(self) -> Check:
        answer = _decoded(self._session.kubectl.ask("version", "--client", "--output=json"), _Version, "version")
        return Check("kubectl", True, printable(answer.client_version.git_version, 50))

    def kubeconfig(self) -> Check:
        chosen = self._session.chosen
        if not self._session.has_cluster:
            return Check("kubeconfig", False, "it has no current context", "set KUBECONFIG or --context")
        named = {"context": chosen.context, "user": chosen.user.name, "namespace": chosen.namespace}
        return Check("kubeconfig", True, ", ".join(f"{kind} {name or '(none)'}" for kind, name in named.items()))

    def identity(self) -> Check:
        credential = self._session.identity.credential
        if credential.token:
            return Check("identity", True, f"the collector is shown {credential.source}")
        # Which is well as long as the collector asks for none.
        return Check("identity", True, f"no token: {credential.source}", skipped=True)

    def tunnel(self) -> Check:
        self._client = self._session.client()
        return Check("port-forward", True, f"reaches {self._session.tunnel.name}")

    def collector(self) -> Check:
        assert self._client  # noqa: S101 - the looks' order
        try:
            self._nodes = self._client.all(NODES, {}, MOST_NODES)[0]
        except Forbidden as error:
            # Who may see some namespaces only is answered all the same.
            self._hidden = "nodes are not shown to you"
            return Check("collector", True, f"answers; {error}")
        return Check("collector", True, f"answers; nodes known: {len(self._nodes)}")

    def connected(self) -> Check:
        if self._hidden:
            return Check("connected agents", True, self._hidden, skipped=True)
        away = [_name(each) for each in self._nodes if not each.get("connected")]
        found = f"{len(self._nodes) - len(away)} of {len(self._nodes)}"
        if not away:
            mend = "" if self._nodes else "no agent has ever reported: look at one with --node NODE"
            return Check("connected agents", bool(self._nodes), found, mend)
        return Check("connected agents", False, f"{found}; away: {_some(away)}", "look at one with --node NODE")

    def sight(self) -> Check:
        if self._hidden:
            return Check("what agents see", True, self._hidden, skipped=True)
        blind = [
            f"{_name(each)} ({'; '.join(map(str, each['impairments']))})"
            for each in self._nodes
            if each.get("impairments")
        ]
        found = (
            f"{len(blind)} of {len(self._nodes)} cannot see everything: {_some(blind)}"
            if blind
            else "nothing is hidden from them"
        )
        return Check("what agents see", not blind, found, "see all: kubectl pullwhy nodes" if blind else "")

    def pods(self) -> Check:
        where = f"--namespace={self._session.tunnel.namespace}"
        try:
            listed = self._session.kubectl.ask("get", "daemonset", where, _SELECTOR, "--output=json")
        except CommandError as error:
            return Check("agent pods", True, str(error), skipped=True)
        found = [each.status for each in _decoded(listed, _DaemonSets, "get daemonset").items]
        ready, wanted = sum(each.number_ready for each in found), sum(each.desired_number_scheduled for each in found)
        well = ready >= wanted > 0
        mend = "" if well else f"see why: kubectl get pods {where} {_SELECTOR} --output=wide"
        return Check("agent pods", well, f"{ready} of {wanted} are ready", mend)


def _name(node: dict[str, Any]) -> str:
    return str(node.get("node") or "")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
