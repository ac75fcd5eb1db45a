"""The filters of the queries: options that are checked here, parameters for the collector, and words for people."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from pullwhy.collector import params
from pullwhy.model import CauseId, State
from pullwhy.text import printable

ANY: Final = "all"
"""The `--state` that leaves none out."""
RESOLVED: Final = "Resolved"
"""The `--state` of problems without an active finding."""
_FILTERS: Final = ("cluster", "namespace", "node", "image", "registry", "cause", "state", "since")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add what findings are asked for by."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--namespace", "-n", default="", help="only findings with a pod of this namespace")
    where.add_argument("--all-namespaces", "-A", action="store_true", help="pods of every namespace (the default)")
    parser.add_argument("--cluster", default="", help="only this cluster")
    parser.add_argument("--node", default="", help="only this node")
    parser.add_argument("--image", default="", help="only this image; without a tag: every tag of it")
    parser.add_argument("--registry", default="", help="only this registry, such as docker.io")
    parser.add_argument(
        "--cause", type=_cause, default="", metavar="CAUSE", help="only this cause, such as TagNotFound"
    )
    parser.add_argument(
        "--since", type=_since, default="", metavar="TIME", help="seen since: 10m, 2h, 7d ago, or an RFC 3339 time"
    )


def add_state(parser: argparse.ArgumentParser, known: Sequence[str]) -> None:
    """Add the states that may be asked for, of which the last is all."""

    def state(text: str) -> str:
        return _checked(lambda: params.one_of("state", text, known))

    told = f"{', '.join(known[:-1])} or {known[-1]} (default: {State.ACTIVE})"
    parser.add_argument("--state", type=state, default="", metavar="STATE", help=told)


def asked_of(options: argparse.Namespace) -> dict[str, str]:
    """Return the filters as parameters."""
    asked = {name: getattr(options, name) for name in _FILTERS}
    asked["state"] = {"": str(State.ACTIVE), ANY: ""}.get(options.state, options.state)
    return asked


def said_of(asked: dict[str, str]) -> str:
    """Return what was asked for, as a part of a sentence."""
    said = [f"{name} {printable(value, 200)}" for name, value in asked.items() if value]
    return f" with {', '.join(said)}" if said else ""


def _checked(parse: Callable[[], str]) -> str:
    try:
        return parse()
    except params.BadParameter as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _cause(text: str) -> str:
    return _checked(lambda: params.one_of("cause", text, [str(cause) for cause in CauseId]))


def _since(text: str) -> str:
    # The collector reads the text itself, by its own clock; here it is only checked. argparse passes the default here too.
    if not text:
        return text
    _checked(lambda: params.since(text, datetime.now(UTC)).isoformat())
    return text
