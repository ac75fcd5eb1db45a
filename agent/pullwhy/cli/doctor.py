"""`pullwhy doctor`: what this machine lets the agent see, each with the mend."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.output import FORMATS, Column, print_records, screen, text_of

if TYPE_CHECKING:
    from pullwhy.config import AgentSettings
    from pullwhy.node.doctor import Check
    from pullwhy.node.plan import Sources

_COLUMNS: Final = (
    Column("", lambda record, _: "OK" if record["ok"] else "FAIL", style=lambda record: "32" if record["ok"] else "31"),
    Column("CHECK", text_of("name")),
    Column("FOUND", text_of("found"), shrink=True),
    Column("MEND", text_of("mend"), shrink=True),
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what the agent can and cannot see here",
        description="Looks at everything that the agent needs on this machine and says how to mend what it cannot see.",
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="the agent's settings in TOML")
    parser.add_argument("--host-root", metavar="DIR", default="", help="where the host's root is mounted")
    parser.add_argument("--runtime-endpoint", metavar="SOCKET", default="", help="the runtime's CRI socket")
    parser.add_argument("--runtime-config", metavar="FILE", default="", help="the runtime's configuration file")
    parser.add_argument("--resolv-conf", metavar="FILE", default="", help="the resolver settings that the runtime uses")
    parser.add_argument("-o", "--output", choices=FORMATS, default="table")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Look at everything; an answer is 0, whatever it is."""
    import asyncio  # noqa: PLC0415 - every command passes here, few wait for anything

    checks = asyncio.run(_checks(_settings(options)))
    records: list[dict[str, Any]] = [asdict(check) for check in checks]
    if options.output == "table" and not screen().out.isatty():
        options.output = "wide"
    print_records(records, options.output, _COLUMNS, screen(), "Nothing was looked at.")
    return 0


def _settings(options: argparse.Namespace) -> AgentSettings:
    from pullwhy.config import AgentSettings, ConfigError, load  # noqa: PLC0415

    try:
        settings = load(AgentSettings, options.config, os.environ)
    except ConfigError as error:
        raise CommandError(str(error), EX_USAGE) from None
    names = ("host_root", "runtime_endpoint", "runtime_config", "resolv_conf")
    return replace(settings, **{name: getattr(options, name) for name in names if getattr(options, name)})


async def _checks(settings: AgentSettings) -> list[Check]:
    from pullwhy.node import doctor  # noqa: PLC0415 - gRPC is loaded when it is needed
    from pullwhy.node.plan import survey  # noqa: PLC0415
    from pullwhy.node.walker import Walker  # noqa: PLC0415

    sources, walker = _sources(settings), Walker()
    try:
        walks = await doctor.walks(walker)
    finally:
        await walker.close()
    return [
        doctor.rights(),
        *doctor.logs(settings, doctor.utc_now()),
        *doctor.runtime(await survey(sources)),
        doctor.resolver(sources),
        doctor.trust(sources),
        doctor.clock(doctor.utc_now(), doctor.kernel_clock),
        walks,
        doctor.state(settings),
        doctor.collector(settings),
    ]


def _sources(settings: AgentSettings) -> Sources:
    from pullwhy.node.plan import Sources  # noqa: PLC0415

    return Sources(
        host_root=Path(settings.host_root),
        runtime_endpoint=settings.runtime_endpoint,
        runtime_config=settings.runtime_config,
        resolv_conf=settings.resolv_conf,
    )
