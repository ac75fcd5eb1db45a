"""klog's text and JSON formats."""

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from lab.kubelet.golang import quote


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectRef:
    """A reference to a Kubernetes object, as klog.KObj makes it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One call of a log function: *error* comes first in text and last in JSON; *raw* is an unstructured call's body."""

    severity: str
    source: str
    message: str
    error: str | None = None
    pairs: Sequence[tuple[str, str | ObjectRef]] = ()
    logger: str | None = None
    raw: bool = False


def text(entry: Entry, when: dt.datetime, pid: int) -> str:
    """Return the entry in klog's text format, several lines where a value has line breaks (klog 2.140: klog.go printS)."""
    head = f"{entry.severity}{when:%m%d %H:%M:%S.%f} {pid:7d} {entry.source}] "
    if entry.raw:
        return head + entry.message
    pairs: list[tuple[str, str | ObjectRef]] = [] if entry.error is None else [("err", entry.error)]
    pairs.extend(entry.pairs)
    if entry.logger is not None:
        pairs.append(("logger", entry.logger))
    return head + quote(entry.message) + "".join(f" {key}{_value(str(value))}" for key, value in pairs)


def as_json(entry: Entry, when: dt.datetime) -> str:
    """Return the entry in the kubelet's JSON format (component-base: logs/json/json.go)."""
    folder = "kuberuntime" if entry.source.startswith("kuberuntime") else "kubelet"
    value: dict[str, Any] = {"ts": round(when.timestamp() * 1000, 4)}
    if entry.logger is not None:
        value["logger"] = entry.logger
    value |= {"caller": f"{folder}/{entry.source}", "msg": entry.message}
    if entry.severity == "I":
        value["v"] = 0
    for key, item in entry.pairs:
        value[key] = {"name": item.name, "namespace": item.namespace} if isinstance(item, ObjectRef) else item
    if entry.error is not None:
        value["err"] = entry.error
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _value(value: str) -> str:
    """Return "=" and the value: quoted, or as lines of their own between "<" and ">" (klog: serialize/keyvalues.go)."""
    if "\n" not in value:
        return f"={quote(value)}"
    lines = value.removesuffix("\n").split("\n")
    return "=<\n" + "".join(f"\t{line}\n" for line in lines) + " >"
