"""JSON and YAML as Kubernetes' own tools read them: from files of the node, into plain values."""

from __future__ import annotations

import json
from typing import Any, Final

MAX_YAML: Final = 65_536
"""Characters; the reader of YAML is slow, and the files that are YAML are small."""


def decode(text: str) -> Any:
    """Return the value that `text` holds; raises ValueError in a clause that follows "it"."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("is no JSON") from None
    if len(text) > MAX_YAML:
        raise ValueError(f"is YAML of more than {MAX_YAML} characters")
    import yaml  # noqa: PLC0415 - most nodes need none of it

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("is no YAML") from None


def texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a list, nothing where it is none."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
