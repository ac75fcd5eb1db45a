"""`pullwhy doctor`: what this machine lets the agent see, each with the mend."""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pullwhy.cli.machineoptions import add_places, check_files, check_places
from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.output import CELL_LIMIT, FORMATS, print_records, screen, write
from pullwhy.diagnose.explain.page import DEFAULT_WIDTH, NARROWEST
from pullwhy.text import printable

if TYPE_CHECKING:
    from pullwhy.config import AgentSettings
    from pullwhy.node.check import Check
    from pullwhy.node.walk.plan import Sources

_MARKS: Final = {"ok": "32", "FAIL": "31", "skip": "2"}
"""How a check ended, and its ANSI style."""
_INDENT: Final = " " * 6


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what the agent can and cannot see here",
        description="Looks at everything that the agent needs on this machine and says how to mend what it cannot see. "
        "Exit code: 0 whatever was found, with --exit-code 1 where a check fails, 64 usage error.",
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="the agent's settings in TOML")
    add_places(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="table")
    add_exit_code(parser)
    parser.set_defaults(run=run)


def add_exit_code(parser: argparse.ArgumentParser) -> None:
    """Add what lets a script go by the answer."""
    parser.add_argument("--exit-code", action="store_true", help="end with 1 where a check fails")


def run(options: argparse.Namespace) -> int:
    """Look at everything and return the exit code."""
    import asyncio  # noqa: PLC0415 - every command passes here, few wait for anything

    return answer(asyncio.run(_checks(_settings(options))), options)


def answer(checks: Sequence[Check], options: argparse.Namespace) -> int:
    """Print `checks` as `options` say and return the exit code: 0 whatever was found, unless it was asked for."""
    print_checks(checks, options.output)
    return int(options.exit_code and any(not (check.ok or check.skipped) for check in checks))


def print_checks(checks: Sequence[Check], output: str) -> None:
    """Print `checks` in one of FORMATS."""
    to = screen()
    if output in {"json", "yaml"}:
        print_records([asdict(check) for check in checks], output, (), to, "")
    else:
        width = 1_000 if output == "wide" else max(to.width or DEFAULT_WIDTH, NARROWEST)
        write(to.out, checklist(checks, width, colour=to.colour))


def checklist(checks: Sequence[Check], width: int, *, colour: bool = False) -> str:
    """Return a paragraph a check, in lines of at most `width` columns: its mark, its name, what was found, the mend."""
    return "".join(line + "\n" for check in checks for line in _lines(check, width, colour=colour))


def _lines(check: Check, width: int, *, colour: bool) -> Iterator[str]:
    mark = "skip" if check.skipped else "ok" if check.ok else "FAIL"
    for number, line in enumerate(_wrapped(f"{check.name}: {check.found}", width)):
        shown = f"\x1b[{_MARKS[mark]}m{mark:<4}\x1b[0m  " if colour else f"{mark:<4}  "
        yield (_INDENT if number else shown) + line
    for line in _wrapped(f"mend: {check.mend}", width) if check.mend else ():
        yield _INDENT + line


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text, CELL_LIMIT), width - len(_INDENT), break_on_hyphens=False)


def _settings(options: argparse.Namespace) -> AgentSettings:
    from pullwhy.config import AgentSettings, ConfigError, load  # noqa: PLC0415 - for this command alone

    check_places(options)
    check_files(options, "resolv_conf")
    try:
        settings = load(AgentSettings, options.config, os.environ)
    except ConfigError as error:
        raise CommandError(str(error), EX_USAGE) from None
    names = ("host_root", "runtime_endpoint", "runtime_config", "resolv_conf")
    return replace(settings, **{name: getattr(options, name) for name in names if getattr(options, name)})


async def _checks(settings: AgentSettings) -> list[Check]:
    from pullwhy.node import doctor  # noqa: PLC0415 - gRPC is loaded when it is needed
    from pullwhy.node.walk.plan import survey  # noqa: PLC0415 - for this command alone
    from pullwhy.node.walk.walker import Walker  # noqa: PLC0415 - for this command alone
    from pullwhy.runtime.host.processes import Processes  # noqa: PLC0415 - for this command alone

    sources, walker = _sources(settings), Walker()
    try:
        walks = await doctor.walks(walker)
    finally:
        await walker.close()
    sight = await survey(sources)
    if doctor.is_no_node(settings, sight, Processes(sources.proc)):
        node = doctor.no_node()
    else:
        node = [*doctor.logs(settings, doctor.utc_now()), *doctor.runtime(sight)]
    return [
        doctor.rights(),
        *node,
        doctor.resolver(sources),
        doctor.trust(sources),
        doctor.clock(doctor.utc_now(), doctor.kernel_clock),
        walks,
        doctor.state(settings),
        doctor.collector(settings),
    ]


def _sources(settings: AgentSettings) -> Sources:
    from pullwhy.node.walk.plan import Sources  # noqa: PLC0415 - for this command alone

    return Sources(
        host_root=Path(settings.host_root),
        runtime_endpoint=settings.runtime_endpoint,
        runtime_config=settings.runtime_config,
        resolv_conf=settings.resolv_conf,
    )
