"""`pullwhy collector`: runs the collector until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from pullwhy.cli.main import EX_USAGE, CommandError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `collector`."""
    parser = subparsers.add_parser(
        "collector",
        help="take findings from agents and answer questions",
        description="Takes findings from agents over gRPC (grpc_listen), keeps them in SQLite or PostgreSQL, makes problems of them, and "
        "answers questions over HTTP (http_listen). Runs until SIGTERM or Ctrl-C. Every setting has a default.",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (TOML); each is also PULLWHY_<KEY> in the environment"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    import asyncio  # noqa: PLC0415 - servers, for this command alone

    from pullwhy.cli.environment import warn_of_strays  # noqa: PLC0415 - for this command alone
    from pullwhy.collector.settings import CollectorSettings  # noqa: PLC0415 - for this command alone
    from pullwhy.config import ConfigError, load  # noqa: PLC0415 - for this command alone

    try:
        from pullwhy.collector.service import StartError, WrongSetting, serve  # noqa: PLC0415 - for this command alone
    except ImportError as error:
        raise CommandError(
            f"{error.name} is not installed: install pullwhy with its extra, 'pullwhy[collector]'"
        ) from error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    os.umask(0o077)  # what fails where is nobody's business but the database's owner's
    try:
        settings = load(CollectorSettings, options.config, os.environ)
        warn_of_strays(CollectorSettings)
        asyncio.run(serve(settings))
    except (ConfigError, WrongSetting) as error:
        raise CommandError(str(error), EX_USAGE) from error
    except StartError as error:
        raise CommandError(str(error)) from error
    return 0
