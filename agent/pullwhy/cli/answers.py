"""What the queries list: problems, findings, registries, nodes; once, or again whenever it changed."""

from __future__ import annotations

import argparse
from typing import Final

from pullwhy.cli import watching
from pullwhy.cli.client import Client
from pullwhy.cli.columns import NODE_COLUMNS, PROBLEM_COLUMNS, REGISTRY_COLUMNS
from pullwhy.cli.filters import ANY, RESOLVED, asked_of, said_of
from pullwhy.cli.main import CommandError
from pullwhy.cli.output import Screen, print_findings, print_records
from pullwhy.cli.watching import Documents, Sleep, say
from pullwhy.model import State

PROBLEMS: Final = "/api/v1/problems"
REGISTRIES: Final = "/api/v1/registries"
FINDINGS: Final = "/api/v1/findings"
NODES: Final = "/api/v1/nodes"
MOST_NODES: Final = 1_000_000


def findings(options: argparse.Namespace, sleep: Sleep | None = None) -> int:
    """List findings."""
    client: Client = options.connect(options)
    asked = asked_of(options)

    def ask(tag: str) -> Documents:
        found, more = client.all(FINDINGS, asked, options.limit, tag)
        if more:
            say(f"there are more than {options.limit}: narrow the question, or raise --limit")
        return found

    def show(documents: Documents, screen: Screen) -> None:
        empty = "" if documents else _nothing(client, options, "findings", asked)
        print_findings(documents, options.output, screen, empty, states=bool(options.state))

    return watching.show(client, ask, show, "findings,problems" if options.watch else "", sleep)


def problems(options: argparse.Namespace, sleep: Sleep | None = None) -> int:
    """List problems."""
    client: Client = options.connect(options)
    asked = asked_of(options)
    looked_for = asked | {"silenced": options.silenced}
    active = {str(State.ACTIVE): "true", RESOLVED: "false"}.get(asked.pop("state"), "")
    silenced = {"yes": "true", "no": "false"}.get(options.silenced, "")

    def ask(tag: str) -> Documents:
        found, more = client.all(PROBLEMS, asked | {"active": active, "silenced": silenced}, options.limit, tag)
        if more:
            say(f"there are more than {options.limit}: narrow the question, or raise --limit")
        return found

    def show(documents: Documents, screen: Screen) -> None:
        empty = "" if documents else _nothing(client, options, "problems", looked_for)
        print_records(documents, options.output, PROBLEM_COLUMNS, screen, empty)

    return watching.show(client, ask, show, "problems" if options.watch else "", sleep)


def registries(options: argparse.Namespace, sleep: Sleep | None = None) -> int:
    """List registries that fail, by cause."""
    client: Client = options.connect(options)
    asked = {"cluster": options.cluster}

    def ask(tag: str) -> Documents:
        return client.items(REGISTRIES, asked, tag)

    def show(documents: Documents, screen: Screen) -> None:
        if options.output in ("table", "wide"):
            documents = [{**each, **cause} for each in documents for cause in each.get("causes") or ()]
        nobody = "" if documents else _nobody(client, options)
        empty = f"No registry fails, says {options.server}{said_of(asked)}.{nobody}"
        print_records(documents, options.output, REGISTRY_COLUMNS, screen, empty)

    return watching.show(client, ask, show, "problems" if options.watch else "", sleep)


def nodes(options: argparse.Namespace, sleep: Sleep | None = None) -> int:
    """List nodes."""
    client: Client = options.connect(options)
    asked = {"cluster": options.cluster, "node": options.node}

    def show(found: Documents, screen: Screen) -> None:
        print_records(
            found, options.output, NODE_COLUMNS, screen, f"No agent has reported to {options.server}{said_of(asked)}."
        )

    def ask(tag: str) -> Documents:
        return client.all(NODES, asked, MOST_NODES, tag)[0]

    return watching.show(client, ask, show, "nodes,findings" if options.watch else "", sleep)


def _nothing(client: Client, options: argparse.Namespace, what: str, asked: dict[str, str]) -> str:
    """Return the sentences for an empty table: what was looked for, where more may be, and whether anybody looks."""
    wider = "" if options.state else f" Resolved ones: --state {ANY}."
    return f"No {what} at {options.server}{said_of(asked)}.{wider}{_nobody(client, options)}"


def _nobody(client: Client, options: argparse.Namespace) -> str:
    """Return a sentence where no agent reports: an empty table then does not mean that all is well."""
    if options.output not in ("table", "wide"):
        return ""
    try:
        return (
            "" if client.one(NODES, {"limit": "1"}).get("items") else " No agent has reported yet, see: pullwhy nodes."
        )
    except CommandError:  # above all, who may see some namespaces only is not shown the nodes
        return ""
