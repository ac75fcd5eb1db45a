"""What a fuzz target is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of foreign bytes: *run* ends well on every input, or raises what is a finding."""

    name: str
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    """Inputs of the right form, from which others are made by damage."""
    patterns: tuple[bytes, ...] = ()
    """Pieces that cost much when they are repeated and the reader is careless."""
