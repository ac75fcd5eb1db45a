"""`pullwhy diagnose IMAGE`: one walk of the pull path on this machine, without a collector or a cluster."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pullwhy.cli.machineoptions import add_places, check_files, check_places, check_socket, platform
from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.output import FORMATS, Column, print_findings, print_records, screen, text_of, write

if TYPE_CHECKING:
    from pullwhy.model import Finding, PullFailure
    from pullwhy.node.investigate.investigate import Investigation, Investigator
    from pullwhy.node.walk.plan import Sources

WORKS: Final = 0
FOUND: Final = 1
UNTOLD: Final = 2
MAX_MESSAGE: Final = 65_536
"""Characters of --message."""

_COLUMNS: Final = (
    Column("STAGE", text_of("stage")),
    Column("OUTCOME", text_of("outcome")),
    Column("TARGET", text_of("target"), shrink=True),
    Column("SECONDS", text_of("seconds")),
    Column("DETAIL", text_of("detail"), shrink=True),
)
_DESCRIPTION: Final = (
    "Walks the pull path of IMAGE from this machine as its container runtime would and says why a pull fails here, with proof. "
    "Exit code: 0 the pull would work, 1 a cause was found, 2 it could not tell, 64 usage error."
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `diagnose`."""
    parser = subparsers.add_parser("diagnose", help="say why an image cannot be pulled here", description=_DESCRIPTION)
    parser.add_argument("image", metavar="IMAGE", help="as the pod names it")
    parser.add_argument("--message", metavar="TEXT", default="", help="what the kubelet or the runtime said about it")
    parser.add_argument(
        "--pull",
        choices=("never", "safe", "always"),
        default="safe",
        help="whether to ask the runtime itself to pull: never, only where the walk predicts that it fails (default), or always",
    )
    parser.add_argument("-o", "--output", choices=FORMATS, default="table")
    where = parser.add_argument_group("what is not where it is expected")
    add_places(where)
    where.add_argument(
        "--platform",
        metavar="OS/ARCH",
        type=platform,
        default="",
        help="the platform to look for, such as linux/arm64 (default: this machine's)",
    )
    where.add_argument(
        "--credentials",
        metavar="FILE",
        default="",
        help="a pull secret to ask the registry with: a dockerconfigjson, or the Secret",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Diagnose one image; return the exit code."""
    import asyncio  # noqa: PLC0415 - every command passes here, few wait for anything

    from pullwhy.node.walk.plan import InvalidCredentials  # noqa: PLC0415 - gRPC is loaded when it is needed

    if not options.image.strip():
        raise CommandError("IMAGE is empty: write it as the pod names it", EX_USAGE)
    sources = _sources(options)
    if sys.stderr.isatty():
        print(f"walking the pull path of {_shown(options.image)} …", file=sys.stderr)
    try:
        found = asyncio.run(_investigate(options, sources))
    except InvalidCredentials as error:
        raise CommandError(str(error), EX_USAGE) from None
    show(found, options)
    return exit_code(found)


def exit_code(found: Investigation) -> int:
    """Return 0 where the pull would work, 1 where a cause was found, 2 where neither is known."""
    from pullwhy.diagnose.catalogue.causes import ACCESS  # noqa: PLC0415 - for this command alone
    from pullwhy.model import CauseId, Confidence  # noqa: PLC0415 - for this command alone

    diagnosis = found.diagnosis
    if diagnosis.cause is CauseId.TRANSIENT or (diagnosis.cause is CauseId.UNDETERMINED and _would_work(found)):
        return WORKS
    # Refused without credentials: whether the pod brings some is not known here.
    unsettled = (
        found.case.failure is None and diagnosis.cause in ACCESS and diagnosis.confidence is not Confidence.PROVED
    )
    return UNTOLD if diagnosis.cause is CauseId.UNDETERMINED or unsettled else FOUND


def _would_work(found: Investigation) -> bool:
    asked = found.case.reproduction
    pulled = asked is not None and asked.outcome == "Succeeded"
    return pulled or (_registry_side_works(found) and not found.case.node.unseen)


def _registry_side_works(found: Investigation) -> bool:
    return found.passes and found.case.failure is None


async def _investigate(options: argparse.Namespace, sources: Sources) -> Investigation:
    from pullwhy.node.investigate.investigate import Investigator  # noqa: PLC0415 - for this command alone
    from pullwhy.node.investigate.reproduce import Policy, Reproducer  # noqa: PLC0415 - for this command alone
    from pullwhy.node.runtimelink import RuntimeLink  # noqa: PLC0415 - for this command alone
    from pullwhy.node.walk.walker import Walker  # noqa: PLC0415 - for this command alone

    walker, link = Walker(), RuntimeLink(sources)
    client = link.client()
    investigator: Investigator = Investigator(
        sources,
        walker,
        _now,
        client=lambda: client,
        reproducer=Reproducer(client, _now) if client else None,
        policy=Policy(options.pull),
    )
    try:
        found = await investigator.look(options.image, _failure(options))
        return await investigator.reproduce(found)
    finally:
        await walker.close()
        await link.close()


def _failure(options: argparse.Namespace) -> PullFailure | None:
    from pullwhy.node.investigate.investigate import as_failure  # noqa: PLC0415 - for this command alone

    message: str = options.message.strip()[:MAX_MESSAGE]
    return as_failure(message, options.image, _now()) if message else None


def _sources(options: argparse.Namespace) -> Sources:
    from pullwhy.node.walk.plan import Sources  # noqa: PLC0415 - for this command alone

    check_places(options)
    check_socket(options)
    check_files(options, "runtime_config", "resolv_conf", "credentials")
    return Sources(
        host_root=Path(options.host_root or "/"),
        runtime_endpoint=options.runtime_endpoint,
        runtime_config=options.runtime_config,
        resolv_conf=options.resolv_conf,
        platform=options.platform,
        credentials=options.credentials,
    )


def show(found: Investigation, options: argparse.Namespace) -> None:
    """Print what was found, in the form that was asked for."""
    from pullwhy.diagnose.document.finding import document  # noqa: PLC0415 - for this command alone
    from pullwhy.diagnose.explain.finding import explain  # noqa: PLC0415 - for this command alone
    from pullwhy.diagnose.explain.page import DEFAULT_WIDTH  # noqa: PLC0415 - for this command alone
    from pullwhy.model import CauseId  # noqa: PLC0415 - for this command alone

    code = exit_code(found)
    nothing = code == WORKS and found.diagnosis.cause is CauseId.UNDETERMINED
    told = document(_finding(found))
    if options.output in {"json", "yaml"}:
        print_findings([] if nothing else [told], options.output)
        return
    to = screen()
    width = min(to.width or DEFAULT_WIDTH, DEFAULT_WIDTH) if options.output == "table" else 1_000
    if nothing or (code == UNTOLD and _registry_side_works(found)):
        write(to.out, f"{_shown(options.image)}: {_headline(found)}\n\n")
        print_records(told["trace"], options.output, _COLUMNS, to, "No walk was made.")
    else:
        # Nothing stores this finding: it has no state, and its id leads nowhere.
        write(to.out, explain(told | {"id": "", "state": ""}, width) + "\n")


def _headline(found: Investigation) -> str:
    if exit_code(found) == WORKS:
        return "the pull would work here"
    mend = "run on the node as root, or name the runtime's socket with --runtime-endpoint"
    return f"the registry side works from here; {found.case.node.unseen} (mend: {mend})"


def _finding(found: Investigation) -> Finding:
    from pullwhy import __version__  # noqa: PLC0415 - for this command alone
    from pullwhy.diagnose.document.finding import finding_id  # noqa: PLC0415 - for this command alone
    from pullwhy.model import Finding  # noqa: PLC0415 - for this command alone

    node, case = os.uname().nodename, found.case
    return Finding(
        id=finding_id(node, case.image_text, found.diagnosis.cause),
        node=node,
        image=case.image_text,
        registry=case.image.registry if case.image else "",
        diagnosis=found.diagnosis,
        first_seen=case.now,
        last_seen=case.now,
        agent_version=__version__,
        reproduction=case.reproduction,
        trace=tuple(result.line() for result in case.trace.results) if case.trace else (),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _shown(text: str) -> str:
    from pullwhy.text import printable  # noqa: PLC0415 - for this command alone

    return printable(text, 300)
