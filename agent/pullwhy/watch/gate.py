"""The gate: which raw lines can matter at all, decided in a fraction of a microsecond."""

from __future__ import annotations


def gate(message: bytes) -> bool:
    """Return whether the recogniser may want to see `message`; the reader drops the rest before decoding them.

    No regular expression: a handful of substrings, chosen so that every line that `Recogniser.feed` reacts to passes.
    klog's info lines are most of a kubelet's log and matter only where they speak of pull secrets; "ull" is in every
    pull, " with I" in the reasons InvalidImageName and ImageInspectError of "Error syncing pod". Continuations of klog's
    multi-line values (led by a tab or ` >`) always pass.
    """
    first = message[:1]
    if first == b"I":
        return b"pull secret" in message
    if b"ull" in message or b" with I" in message:
        return True
    if first in (b"E", b"W"):
        return b"redential" in message
    return (
        first == b"\t"
        or message[:2] == b" >"
        or b"ext host" in message
        or b"etch failed" in message
        or b"hosts.toml" in message
        or b"redential" in message
    )
