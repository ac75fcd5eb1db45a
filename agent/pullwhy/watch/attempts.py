"""The kubelet's lines about single pulls, kept for the sync error that follows: they tell the image and whether credentials went along."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.watch.lines import LogLine

TRIED: Final = "PullImage from image service failed"
"""Logged once per credential tried, once where none matched (kubelet 1.24 to 1.36: remote_image.go); `image` is the pod's
spelling."""
TRIED_WITHOUT: Final = "Failed to pull image"
"""Logged after the former, and only where no credential matched (kubelet 1.24 to 1.36: kuberuntime_image.go)."""
MAX_ATTEMPTS: Final = 128
"""Pulls kept; those of some moments ago are spent."""
AGE: Final = timedelta(seconds=2)
"""The lines of one failed pull are milliseconds apart; journald may stamp them a little later."""

_UNKNOWN_CODE: Final = "rpc error: code = Unknown desc = "


@dataclass(slots=True)
class _Attempt:
    when: datetime
    writer: tuple[str, str, int]
    error: str
    """Empty where its lines were lost: a multi-line value comes in pieces."""
    image: str
    credentials: bool | None = True
    """None once it can no longer be told from another's."""


@frozen
class Pull:
    """What the lines of a pull tell."""

    image: str
    """The pod's spelling; empty where nothing tells it."""
    credentials_sent: bool | None = None
    tries: int = 0
    """Pulls with credentials that were logged just before the failure: one for each that matched."""


class Attempts:
    """Remembers failed pulls, bounded in number and age, until the sync error of their container takes them."""

    def __init__(self) -> None:
        self._attempts: deque[_Attempt] = deque(maxlen=MAX_ATTEMPTS)

    def feed(self, line: LogLine, message: str, fields: dict[str, str]) -> bool:
        """Take in a record; return whether it is one of a single pull."""
        if message not in {TRIED, TRIED_WITHOUT}:
            return False
        error, image = _comparable(fields.get("err", "")), fields.get("image", "")
        attempt = self._unsettled(line, error, image) if message == TRIED_WITHOUT else None
        if attempt is None:
            attempt = _Attempt(line.when, _writer(line), error, image)
            self._attempts.append(attempt)
        attempt.credentials = message == TRIED
        return True

    def take(self, line: LogLine, message: str, named: str, wanted: tuple[str, ...]) -> Pull:
        """Return what is known of the pull that failed with `message`, the sync error's text for one container.

        `named` is the image that the message itself gives in the pod's spelling, then `wanted` how the container's image may
        be called, the likeliest first. Pods that fail at one moment in the same words ("connection refused" by the runtime's
        socket) are not told apart by them: then nothing is guessed.
        """
        near = self._near(line, message, named, wanted)
        images = {each.image for each in near}
        image = named or next((name for name in wanted if name in images), "")
        if not image and len(images) == 1:
            image = images.pop()
        own = [each for each in near if each.image == image] if image else near
        told, tries = {each.credentials for each in own}, len(own)
        if len(told) > 1:
            for each in own:
                each.credentials = None
        if image and own:
            # Each pull has its own line, so this one is no other pod's.
            self._attempts.remove(own[0])
        sent = told.pop() if len(told) == 1 else None
        return Pull(image, sent, tries if image and sent else 0)

    def _unsettled(self, line: LogLine, error: str, image: str) -> _Attempt | None:
        """Return the attempt that a line about a pull without credentials is about: it was logged just before."""
        for each in reversed(self._attempts):
            same = each.image == image and (each.error == error or not (each.error and error))
            if same and each.credentials and each.writer == _writer(line) and abs(line.when - each.when) <= AGE:
                return each
        return None

    def _near(self, line: LogLine, message: str, named: str, wanted: tuple[str, ...]) -> list[_Attempt]:
        """Return the attempts that may be of the pull: the same error, or the same image where the texts cannot be compared.

        They cannot where the pieces of an error were lost, and where the kubelet words the message itself and names the image.
        """
        error, writer = _comparable(message), _writer(line)
        several = _parts(error)
        recent = [each for each in self._attempts if each.writer == writer and abs(line.when - each.when) <= AGE]
        same = [each for each in recent if each.error and (each.error == error or f", {each.error}, " in several)]
        return same or [each for each in recent if each.image in (named, *wanted) and (named or not each.error)]


def _writer(line: LogLine) -> tuple[str, str, int]:
    return line.unit, line.stream, line.pid


def _comparable(error: str) -> str:
    # The kubelet strips this prefix, and a multi-line value loses its last line break, between the lines of one failure.
    return error.removeprefix(_UNKNOWN_CODE).rstrip("\n")


def _parts(error: str) -> str:
    """Return an aggregate's parts, each between ", " (apimachinery: pkg/util/errors); empty where `error` is none."""
    if not (error.startswith("[") and error.endswith("]")):
        return ""
    return f", {error[1:-1].replace(_UNKNOWN_CODE, '')}, ".replace("\n, ", ", ")
