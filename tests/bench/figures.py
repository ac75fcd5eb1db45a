"""Figures and how they are printed: each beside its bar, with the spread of its rounds."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    """What the value may be at most; None where the design sets none."""
    spread: str = ""

    @classmethod
    def median(cls, name: str, values: Sequence[float], unit: str, bar: float | None = None) -> Self:
        """Return the median of several rounds, which tells their range too."""
        spread = f"{min(values):.3g} to {max(values):.3g} in {len(values)} rounds"
        return cls(name, statistics.median(values), unit, bar, spread)

    @property
    def missed(self) -> bool:
        """Whether the value is above its bar."""
        return self.bar is not None and self.value > self.bar

    def __str__(self) -> str:
        """Return the figure as a line for people."""
        verdict = "no bar"
        if self.bar is not None:
            verdict = f"bar {self.bar:g}: " + (f"missed by {self.value - self.bar:.3g}" if self.missed else "met")
        spread = f"; {self.spread}" if self.spread else ""
        return f"{self.name}: {self.value:.3g} {self.unit} ({verdict}{spread})"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


def say(text: str) -> None:
    """Show progress."""
    print(f"  {text}", flush=True)
