"""What the queries print: findings, one finding at length, nodes; once, or again whenever something changed."""

from __future__ import annotations

import argparse
import io
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from pullwhy.cli import output
from pullwhy.cli.client import Client, Unchanged
from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.output import Column, Record, Screen, age_of, print_findings, print_records, text_of
from pullwhy.cli.query import ANY
from pullwhy.diagnose.explain import DEFAULT_WIDTH
from pullwhy.diagnose.explain import explain as told
from pullwhy.model import State
from pullwhy.text import printable

FINDINGS: Final = "/api/v1/findings"
NODES: Final = "/api/v1/nodes"
WATCH_SECONDS: Final = 2.0
MOST_NODES: Final = 1_000_000
EXPLAINED: Final = 10
"""Findings that one `explain` tells at length."""

_ID: Final = re.compile(r"[0-9a-f]{16}\Z")
_ID_PREFIX: Final = re.compile(r"[0-9a-f]{4,15}\Z")
_POD: Final = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}\Z")
"""NAMESPACE/NAME; many an image reads the same."""
FORMS: Final = "ID (or 4 of its first characters), pod/NAME, pod/NAMESPACE/NAME, or IMAGE"
SOME: Final = 5
"""Ids that one error names."""
_FILTERS: Final = ("cluster", "namespace", "node", "image", "registry", "cause", "state", "since")

Documents = list[dict[str, Any]]
Sleep = Callable[[float], None]


def findings(options: argparse.Namespace, sleep: Sleep = time.sleep) -> int:
    """List findings."""
    client: Client = options.connect(options)
    asked = _asked(options)

    def ask(tag: str) -> Documents:
        found, more = client.all(FINDINGS, asked, options.limit, tag)
        if more:
            _say(f"there are more than {options.limit}: narrow the question, or raise --limit")
        return found

    def show(documents: Documents, screen: Screen) -> None:
        empty = _nothing(options, asked)
        print_findings(documents, options.output, screen, empty, states=bool(options.state))

    return _run(client, ask, show, sleep if options.watch else None)


def nodes(options: argparse.Namespace, sleep: Sleep = time.sleep) -> int:
    """List nodes."""
    client: Client = options.connect(options)
    asked = {"cluster": options.cluster, "node": options.node}

    def show(found: Documents, screen: Screen) -> None:
        print_records(
            found, options.output, NODE_COLUMNS, screen, f"No agent has reported to {options.server}{_of(asked)}."
        )

    return _run(
        client, lambda tag: client.all(NODES, asked, MOST_NODES, tag)[0], show, sleep if options.watch else None
    )


def explain(options: argparse.Namespace) -> int:
    """Tell one finding, or those of a pod or an image, at length."""
    client: Client = options.connect(options)
    documents, more = _targets(client, options)
    if options.output != "table":
        print_findings(documents, options.output)
        return 0
    to = output.screen()
    width = min(to.width or DEFAULT_WIDTH, DEFAULT_WIDTH)
    output.write(to.out, "\n".join(told(document, width, to.now) for document in documents) + "\n")
    if more:
        _say(f"\nonly the {len(documents)} seen last are told; see the others with: pullwhy findings")
    return 0


def _targets(client: Client, options: argparse.Namespace) -> tuple[Documents, bool]:
    target, asked = options.target, _asked(options)
    found_id = target if _ID.match(target) else _whole_id(client, options)
    if found_id:
        return [client.one(f"{FINDINGS}/{found_id}", {"cluster": options.cluster})], False
    meanings = _meanings(target)
    for meaning in meanings:
        found, more = client.all(FINDINGS, asked | meaning, EXPLAINED)
        if found:
            return found, more
    for meaning in meanings if not options.state else ():
        # Nothing fails now: the last thing that did is what was meant.
        found = client.all(FINDINGS, asked | meaning | {"state": ""}, 1)[0]
        if found:
            return found, False
    filters = _of({name: value for name, value in asked.items() if name not in ("image", "state")})
    raise CommandError(
        f"no finding about {printable(target, 200)}{filters} at {options.server}; write {FORMS}; "
        f"all there is: pullwhy findings --state {ANY}"
    )


def _whole_id(client: Client, options: argparse.Namespace) -> str:
    """Return the one id that begins with the target; empty where none does. Raises CommandError where several do."""
    target = options.target
    if not _ID_PREFIX.match(target):
        return ""
    found, _ = client.all(FINDINGS, {"cluster": options.cluster, "id": target}, SOME)
    ids = sorted({str(each.get("id")) for each in found})
    if len(ids) > 1:
        raise CommandError(f"several ids begin with {target}: {', '.join(map(printable, ids))}; write more of it")
    return ids[0] if ids else ""


def _meanings(target: str) -> list[dict[str, str]]:
    """Return what `target` may ask for, the likeliest first; raises CommandError where it names no pod after `pod/`."""
    kind, _, rest = target.partition("/")
    parts = rest.split("/")
    if kind in ("pod", "pods", "po") and rest:
        if len(parts) > 2 or not all(parts):  # noqa: PLR2004 - NAMESPACE/NAME
            raise CommandError(f"{printable(target, 200)}: write {FORMS}", EX_USAGE)
        return [{"namespace": parts[0], "pod": parts[1]} if len(parts) > 1 else {"pod": rest}]
    if target.endswith("/") or not target:
        raise CommandError(f"{printable(target, 200)}: write {FORMS}", EX_USAGE)
    image = {"image": target}
    return [{"namespace": kind, "pod": rest}, image] if _POD.match(target) else [image]


def _run(
    client: Client,
    ask: Callable[[str], Documents],
    show: Callable[[Documents, Screen], None],
    sleep: Sleep | None,
) -> int:
    """Ask and show; with `sleep`, for ever, showing only what changed."""
    documents, screen = ask(""), output.screen()
    if not sleep:
        show(documents, screen)
        return 0
    shown, told = "", ""
    while True:
        text = _rendered(documents, show, replace(screen, now=datetime.now(UTC)))
        # On a terminal the ages move on; a program that reads along gets a new list only when something changed.
        now, clear = (text, "\x1b[H\x1b[J") if screen.width is not None else (str(documents), "")
        if now != shown:
            output.write(screen.out, clear + text)
        shown = now
        sleep(WATCH_SECONDS)
        try:
            documents, told = ask(client.tag), ""
        except Unchanged:
            told = ""
        except CommandError as error:
            # The collector may be back soon; until then what is shown stays, and the reason is told once.
            if str(error) != told:
                _say(str(error))
            told = str(error)


def _rendered(documents: Documents, show: Callable[[Documents, Screen], None], screen: Screen) -> str:
    buffer = io.StringIO()
    show(documents, replace(screen, out=buffer, errors=buffer))
    return buffer.getvalue()


def _asked(options: argparse.Namespace) -> dict[str, str]:
    asked = {name: getattr(options, name) for name in _FILTERS}
    asked["state"] = {"": str(State.ACTIVE), ANY: ""}.get(options.state, options.state)
    return asked


def _nothing(options: argparse.Namespace, asked: dict[str, str]) -> str:
    """Return the sentence for an empty table: what was looked for, and where more may be."""
    wider = "" if options.state else f" Resolved ones: --state {ANY}."
    return f"No findings at {options.server}{_of(asked)}.{wider}"


def _of(asked: dict[str, str]) -> str:
    said = [f"{name} {printable(value, 200)}" for name, value in asked.items() if value]
    return f" with {', '.join(said)}" if said else ""


def _say(text: str) -> None:
    output.write(output.screen().errors, text + "\n")


def _connection(record: Record, to: Screen) -> str:
    del to
    return "yes" if record.get("connected") else "no"


def _runtime(record: Record, to: Screen) -> str:
    del to
    return f"{record.get('runtime_name') or ''} {record.get('runtime_version') or ''}".strip()


def _impairments(record: Record, to: Screen) -> str:
    del to
    return "; ".join(map(str, record.get("impairments") or ()))


NODE_COLUMNS: Final[Sequence[Column]] = (
    Column("CLUSTER", text_of("cluster")),
    Column("NODE", text_of("node")),
    Column("CONNECTED", _connection, style=lambda record: "" if record.get("connected") else "33"),
    Column("FINDINGS", text_of("active_findings")),
    Column("AGENT", text_of("agent_version")),
    Column("RUNTIME", _runtime),
    Column("KUBELET", text_of("kubelet_version"), wide=True),
    Column("ARCH", text_of("architecture"), wide=True),
    Column("ZONE", text_of("zone"), wide=True),
    Column("POOL", text_of("pool"), wide=True),
    Column("LAST SEEN", age_of("last_seen")),
    Column("LOST REPORTS", text_of("outbox_dropped"), usual="0"),
    Column("CANNOT SEE", _impairments, shrink=True),
)
