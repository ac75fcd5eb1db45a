"""What an agent keeps between two of its lives, in one file: where it read up to, and what it made of that.

Both are written together, so a kill at any moment leads back to a moment at which they belonged together: lines behind the positions
are read again, and lead to the same incidents, attempts and findings.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

import msgspec

from pullwhy.frozen import frozen
from pullwhy.node.incidents.findings import Record
from pullwhy.node.incidents.hangs import Pull
from pullwhy.node.incidents.incidents import Incident
from pullwhy.node.incidents.schedule import Walked
from pullwhy.watch.cursor import Positions, read_bounded, write_atomically

logger = logging.getLogger(__name__)

NAME: Final = "agent.json"
VERSION: Final = 1


@frozen
class Kept:
    """One consistent moment."""

    positions: Positions = Positions()
    incidents: tuple[Incident, ...] = ()
    records: tuple[Record, ...] = ()
    walked: tuple[Walked, ...] = ()
    pulls: tuple[Pull, ...] = ()
    version: int = VERSION


class StateUnwritable(Exception):
    """The state directory cannot be written; names it and the mend."""


_decoder = msgspec.json.Decoder(Kept)


def encode(kept: Kept) -> bytes:
    """Return the content of the state file."""
    return msgspec.json.encode(kept)


def load(directory: Path) -> Kept:
    """Return what was kept. A file that cannot be used is set aside and said, and the agent begins anew."""
    path = directory / NAME
    try:
        content = read_bounded(path)
        if content is None:
            return Kept()
        kept = _decoder.decode(content)
        if kept.version == VERSION:
            return kept
        why = f"it has version {kept.version}, this agent writes {VERSION}"
    except (msgspec.DecodeError, RecursionError) as error:
        why = f"it is damaged ({error})"
    except OSError as error:
        logger.warning("state: %s: %s; beginning anew", path, error.strerror or error)
        return Kept()
    aside = path.with_suffix(".unusable")
    with contextlib.suppress(OSError):
        path.replace(aside)
    logger.warning("state: %s cannot be used: %s; set aside as %s, beginning anew", path, why, aside.name)
    return Kept()


def save(directory: Path, content: bytes) -> None:
    """Replace the state file; raises StateUnwritable."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(directory / NAME, content)
    except OSError as error:
        raise StateUnwritable(
            f"state: {directory}: {error.strerror or error}; a restart will repeat or miss what came meanwhile: "
            "give the agent a state directory that it can write, with free space"
        ) from None
