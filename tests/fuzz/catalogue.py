"""Every fuzz target by its name."""

from typing import Final

from fuzz import asked, files, kubeletfiles, texts, wire
from fuzz.target import Target

TARGETS: Final[dict[str, Target]] = {
    each.name: each for each in (*texts.TARGETS, *files.TARGETS, *kubeletfiles.TARGETS, *wire.TARGETS, *asked.TARGETS)
}
