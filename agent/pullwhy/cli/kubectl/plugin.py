"""`kubectl pullwhy`: its command line, which is that of the queries with kubectl's options, and what it runs."""

from __future__ import annotations

import argparse
import functools
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pullwhy import __version__
from pullwhy.cli.kubectl import doctor
from pullwhy.cli.kubectl.options import add_options
from pullwhy.cli.kubectl.session import Session
from pullwhy.cli.main import QUERIES, Parser, execute, guarded

if TYPE_CHECKING:
    from pullwhy.cli.client import Client

PROG: Final = "kubectl pullwhy"
POD_KINDS: Final = ("pod", "pods", "po")

Run = Callable[[argparse.Namespace], int]


class _Parser(Parser):
    def __init__(self, **settings: Any) -> None:
        # Where a query has an option of the same name (--server, --cluster), kubectl's, added later, is meant.
        super().__init__(conflict_handler="resolve", **settings)


def build_parser() -> argparse.ArgumentParser:
    """Return the argument tree."""
    parser = _Parser(
        prog=PROG,
        description="Why can't this node pull this image? Asks the cluster's collector, through kubectl and as yourself.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pullwhy {__version__}")
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser] = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for group in QUERIES:
        importlib.import_module(f"pullwhy.cli.{group}").register(subparsers)
    for query in subparsers.choices.values():
        # The filter by cluster keeps its default: its option is kubectl's here.
        cluster = query.get_default("cluster")
        query.set_defaults(cluster=cluster, connect=_connect, run=functools.partial(_ask, query.get_default("run")))
    doctor.register(subparsers)
    for command in subparsers.choices.values():
        of_pods = command.get_default("namespace") is not None
        # As with `kubectl get nodes`, -n is taken, and without a meaning, by what is in no namespace.
        add_options(command)
        if of_pods:
            command.add_argument("--all-namespaces", "-A", action="store_true", help="pods of every namespace")
            command.set_defaults(namespace="")
    add_options(parser, default=None)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return guarded(lambda: _command(sys.argv[1:] if arguments is None else list(arguments)))


def _command(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _end)
    return execute(PROG, options)


def _end(number: int, frame: object) -> NoReturn:
    """End as a shell tells it, by way of every `finally`."""
    del frame
    raise SystemExit(128 + number)


def _ask(run: Run, options: argparse.Namespace) -> int:
    with Session(options) as session:
        options.session, options.server = session, session.tunnel.name
        if hasattr(options, "namespace"):
            options.namespace = _namespace(options, session)
        return run(options)


def _namespace(options: argparse.Namespace, session: Session) -> str:
    """Return whose pods are meant: as with kubectl, those of the context's namespace unless something else is said."""
    if options.all_namespaces:
        return ""
    kind, slash, _ = getattr(options, "target", "pod/").partition("/")
    of_pods = options.command in ("findings", "explain") and slash and kind in POD_KINDS
    return options.kube_namespace or (session.namespace if of_pods else "")


def _connect(options: argparse.Namespace) -> Client:
    session: Session = options.session
    return session.client()


def run() -> NoReturn:
    """Be the console script."""
    sys.exit(main())
