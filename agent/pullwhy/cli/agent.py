"""`pullwhy agent`: the node agent; with `--standalone` it embeds the collector."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from pullwhy.cli.main import EX_USAGE, CommandError

if TYPE_CHECKING:
    from pullwhy.config import AgentSettings


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `agent`."""
    parser = subparsers.add_parser(
        "agent",
        help="watch this node for failed pulls and report why they fail",
        description="Follows the logs of kubelet and container runtime, finds out why pulls fail, and reports to the collector. "
        "Settings come from --config (TOML) and the environment (PULLWHY_NODE, PULLWHY_REPORT_ADDRESS, …).",
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings in TOML")
    parser.add_argument(
        "--standalone", action="store_true", help="embed the collector, with its database in the state directory"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    import asyncio  # noqa: PLC0415 - the other commands pass this file too

    from pullwhy.cli.environment import warn_of_strays  # noqa: PLC0415 - for this command alone
    from pullwhy.config import AgentSettings, ConfigError, load  # noqa: PLC0415 - for this command alone

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = load(AgentSettings, options.config, os.environ)
        warn_of_strays(AgentSettings)
        _check_root(settings)
        os.umask(0o077)  # what fails on this node is nobody's business but the agent's
        if options.standalone:
            Path(settings.state_directory).mkdir(parents=True, exist_ok=True, mode=0o700)
        asyncio.run(_run(settings, standalone=options.standalone))
    except ConfigError as error:
        raise CommandError(str(error), EX_USAGE) from None
    except OSError as error:
        raise CommandError(
            f"{error.filename}: {error.strerror}; set state_directory to a place that can be written"
        ) from None
    except ImportError as error:
        extra = "agent,collector" if options.standalone else "agent"
        raise CommandError(
            f"{error.name} is not installed: install pullwhy with its extra, 'pullwhy[{extra}]'"
        ) from None
    return 0


def _check_root(settings: AgentSettings) -> None:
    if not Path(settings.host_root).is_dir():
        why = f"host_root {settings.host_root}: no such directory; name where the host's root is mounted"
        raise CommandError(why, EX_USAGE)


async def _run(settings: AgentSettings, *, standalone: bool) -> None:
    from pullwhy.node.agent import InUse, ListenError, Outbox, serve  # noqa: PLC0415 - for this command alone

    try:
        # Before the collector opens its database in the same directory.
        outbox = Outbox(Path(settings.state_directory))
        if not standalone:
            await serve(settings, outbox)
            return
        async with _embedded(settings) as address:
            await serve(settings, outbox, address)
    except (InUse, ListenError) as error:
        raise CommandError(str(error)) from None


@contextlib.asynccontextmanager
async def _embedded(settings: AgentSettings) -> AsyncIterator[str]:
    """Run a collector meanwhile; gives the address at which agents report."""
    from pullwhy.collector.service import Collector, StartError, WrongSetting  # noqa: PLC0415 - for this command alone
    from pullwhy.collector.settings import CollectorSettings  # noqa: PLC0415 - for this command alone

    own = settings.standalone
    collector = Collector(
        CollectorSettings(
            grpc_listen="127.0.0.1:0",
            http_listen=own.http_listen,
            database=own.database or str(Path(settings.state_directory) / "collector.db"),
            retention_days=own.retention_days,
        )
    )
    try:
        await collector.start()
    except StartError as error:
        code = EX_USAGE if isinstance(error, WrongSetting) else 1
        raise CommandError(f"{error}; it is set in [standalone]", code) from None
    try:
        yield collector.grpc_address
    finally:
        await collector.stop()
