"""What a kubectl says on its standard error: kept for its reason, and what asks somebody to sign in shown while there is time to."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import IO, Any, Final, Protocol

from pullwhy.redact import redact
from pullwhy.text import printable

KEPT: Final = 50
"""Lines."""
_LINE: Final = 4096
_END_SECONDS: Final = 5.0
_ERRORS: Final = ("error:", "Error from server", "Unable to connect", "The connection to the server")
"""How kubectl's own last word begins; before it may be lines of its libraries (kubectl 1.32: pkg/cmd/util/helpers.go)."""
_LIBRARYS: Final = re.compile(rb"[IWEF](\d{0,3}\Z|\d{4}(\Z| ))")
"""How a line of klog begins, or what may become one (k8s.io/klog/v2: klog.go, formatHeader)."""


class Terminal(Protocol):
    """Where somebody reads."""

    def write(self, data: bytes, /) -> Any:
        """Show it."""

    def flush(self) -> None:
        """Show it now."""


class Said:
    """Reads until the end, in a thread of its own so that kubectl never waits for a reader."""

    def __init__(self, stream: IO[bytes], terminal: Terminal | None) -> None:
        """`terminal` shows at once what is not kubectl's own: of that its last word is told, once."""
        self._stream, self._terminal = stream, terminal
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def last_word(self) -> str:
        """Return kubectl's own reason among what it said so far, fit to be shown; empty for nothing."""
        return last_word(list(self._lines))

    def ended(self) -> str:
        """Return the last word of a kubectl that has ended."""
        self._thread.join(_END_SECONDS)
        return self.last_word()

    def close(self) -> None:
        """Let go of the stream of a kubectl that has ended; a child that it left may still hold the other end."""
        self._thread.join(_END_SECONDS)
        if not self._thread.is_alive():
            self._stream.close()

    def _follow(self) -> None:
        line, shown = b"", 0
        while data := self._stream.read1(_LINE):  # type: ignore[attr-defined] # of a BufferedReader
            for piece in data.splitlines(keepends=True):
                line += piece
                if self._terminal and not _may_be_kubectls(line):
                    self._terminal.write(line[shown:])  # a prompt has no end of line
                    self._terminal.flush()
                    shown = len(line)
                if line.endswith(b"\n") or len(line) >= _LINE:
                    self._lines.append(line.decode(errors="replace"))
                    line, shown = b"", 0
        if line:
            self._lines.append(line.decode(errors="replace"))


def _may_be_kubectls(line: bytes) -> bool:
    begins = [error.encode() for error in _ERRORS]
    return any(line.startswith(each) or each.startswith(line) for each in begins) or bool(_LIBRARYS.match(line))


def last_word(said: list[str]) -> str:
    """Return kubectl's own reason among its lines, fit to be shown."""
    lines = [line.strip() for line in said if line.strip()]
    reasons = [line for line in lines if line.startswith(_ERRORS)] or lines
    return printable(redact(reasons[-1]), 600) if reasons else ""
