"""The options that name what of a machine is not where it is expected, and their check: `diagnose` and `doctor` share them."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Final

from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.text import printable

_PLATFORM: Final = re.compile(r"[a-z0-9]{1,32}/[a-z0-9_]{1,32}(?:/[a-z0-9._]{1,32})?")
"""github.com/containerd/platforms: os/architecture[/variant]."""


def add_places(parser: argparse._ActionsContainer) -> None:
    """Add the options."""
    parser.add_argument("--runtime-endpoint", metavar="SOCKET", default="", help="the runtime's CRI socket")
    parser.add_argument("--runtime-config", metavar="FILE", default="", help="the runtime's configuration file")
    parser.add_argument("--host-root", metavar="DIR", default="", help="where the host's root is mounted (default: /)")
    parser.add_argument("--resolv-conf", metavar="FILE", default="", help="the resolver settings that the runtime uses")


def check_places(options: argparse.Namespace) -> None:
    """Raise CommandError, a usage error, for a value that cannot be meant."""
    scheme, separator, _ = options.runtime_endpoint.partition("://")
    if separator and scheme != "unix":
        raise _wrong("runtime_endpoint", options.runtime_endpoint, "CRI is asked over a unix socket: unix:///PATH")
    if options.host_root and not Path(options.host_root).is_dir():
        raise _wrong("host_root", options.host_root, "no such directory")


def check_socket(options: argparse.Namespace) -> None:
    """Raise CommandError, a usage error, where the runtime's socket is named and there is none."""
    path = Path(options.runtime_endpoint.removeprefix("unix://"))
    if options.runtime_endpoint and not path.is_socket():
        raise _wrong("runtime_endpoint", options.runtime_endpoint, "no socket" if path.exists() else _absent(path))


def check_files(options: argparse.Namespace, *names: str) -> None:
    """Raise CommandError, a usage error, for a file that is named by one of the options `names` and cannot be read."""
    for name in names:
        text = getattr(options, name)
        path = Path(text)
        if not text:
            continue
        if path.is_dir():
            raise _wrong(name, text, "is a directory")
        if not os.access(path, os.R_OK):
            raise _wrong(name, text, "cannot be read; run as root" if path.exists() else _absent(path))


def platform(text: str) -> str:
    """Return a platform as it was given; raises ArgumentTypeError for what is none."""
    if text and not _PLATFORM.fullmatch(text):  # argparse passes the empty default here too
        raise argparse.ArgumentTypeError(
            f"{printable(text, 100)!r}: write os/architecture[/variant], such as linux/arm64"
        )
    return text


def _absent(path: Path) -> str:
    hidden = path.parent.exists() and not os.access(path.parent, os.X_OK)
    return "cannot be seen; run as root" if hidden else "no such file"


def _wrong(name: str, value: str, why: str) -> CommandError:
    return CommandError(f"--{name.replace('_', '-')} {printable(value, 300)}: {why}", EX_USAGE)
