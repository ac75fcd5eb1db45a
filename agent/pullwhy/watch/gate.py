"""The gate: which raw lines can matter at all, decided in a fraction of a microsecond."""

from __future__ import annotations

from typing import Final

HEAD: Final = 128
"""Bytes in which a klog message begins and says what it is about: its header takes some 60, fields come after it."""


def gate(message: bytes) -> bool:
    """Return whether the recogniser may want to see `message`; the reader drops the rest before decoding them.

    No regular expression: few substrings, because the cost is that of the bytes searched, and chosen so that every line
    that `Recogniser.feed` reacts to passes. klog's info lines are most of a kubelet's log and matter only where they speak of
    pull secrets. Its errors about a pull all name an image, by a reason (`ErrImagePull`) or in words. Lines in other forms
    are the runtime's, JSON, or continuations of klog's multi-line values, led by a tab or ` >`: those always pass.
    """
    first = message[:1]
    if first == b"I":
        return message.find(b"pull secret", 0, HEAD) >= 0
    if first in (b"E", b"W"):
        return b"mage" in message or message.find(b"redential", 0, HEAD) >= 0
    return (
        first == b"\t"
        or message[:2] == b" >"
        or b"ull" in message
        or b" with I" in message
        or b"ext host" in message
        or b"etch failed" in message
        or b"hosts.toml" in message
        or b"redential" in message
    )
