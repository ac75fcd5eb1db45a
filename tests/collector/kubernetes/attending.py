"""Findings of pods that fail."""

from typing import Any

from collector.samples import finding

from pullwhy.model import FailingPod, Finding


def failing(attempts: int = 2, name: str = "web-1", number: int = 1, **changed: Any) -> Finding:
    pod = FailingPod("shop", name, f"uid-{name}", "main", attempts=attempts)
    return finding(number, **{"pods": (pod,), **changed})
