"""The kubelet's log records: klog text, klog JSON, and the wrappers that distributions put around them."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.gotext import pairs, scan_quoted
from pullwhy.watch.jsontext import decode_object, encode

MAX_TEXT: Final = 262_144
"""Characters of one record; a line of the journal has at most 48 KiB, a rejoined record a few of them."""

_HEADER: Final = re.compile(
    r"(?:[a-z][\w.-]{0,63} )?"  # MicroShift puts the component's name before each line
    r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d{6} +\d{1,10} ([\w.\-]{1,128}):\d{1,7}\] "
)
_WRAPPED: Final = "component=kubelet"  # k0s logs its components' lines as logrus messages


@frozen
class KlogRecord:
    """One record. Its time is the journal's: the header has no year and the node's own zone."""

    severity: str
    """`I`, `W`, `E` or `F`."""
    file: str
    """The file that logged it, without its folder; line numbers differ by version."""
    message: str
    """The structured message, or the whole body of an unstructured record."""
    fields: dict[str, str] = field(default_factory=dict)
    """Key to value, unquoted; an object such as a pod reads `namespace/name`."""
    structured: bool = False


def parse(text: str) -> KlogRecord | None:
    """Return the record that `text` holds, or None where it is none.

    Takes klog text (klog v2.60 to v2.140, multi-line values rejoined), one JSON object (component-base/logs/json), and
    either of them inside a k0s logrus line.
    """
    text = text[:MAX_TEXT]
    if text.startswith("{"):
        return _parse_json(text)
    if text.startswith("time=") and _WRAPPED in text:
        text = pairs(text).get("msg", "")
    header = _HEADER.match(text)
    if header is None:
        return None
    severity, file = header[1], header[2]
    quoted = scan_quoted(text, header.end())
    if quoted is None:
        return KlogRecord(severity, file, text[header.end() :])
    message, end = quoted
    return KlogRecord(severity, file, message, pairs(text, end), structured=True)


def _parse_json(text: str) -> KlogRecord | None:
    decoded = decode_object(text)
    if decoded is None or not isinstance(decoded.get("msg"), str) or "ts" not in decoded:
        return None
    caller = decoded.get("caller")
    file = caller.rpartition("/")[2].partition(":")[0] if isinstance(caller, str) else ""
    # Errors have no verbosity; there is no severity key.
    severity = "I" if "v" in decoded else "E"
    return KlogRecord(
        severity, file, decoded["msg"], {key: _plain(value) for key, value in decoded.items()}, structured=True
    )


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        namespace = value.get("namespace")
        return f"{namespace}/{value['name']}" if isinstance(namespace, str) and namespace else value["name"]
    return encode(value)
