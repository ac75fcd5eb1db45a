"""The `kubectl` program as a child: how it is found, asked and, where it refuses, understood."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from pullwhy.cli.main import CommandError
from pullwhy.redact import redact
from pullwhy.text import printable

SECONDS: Final = 60.0
"""For one answer; where the API server is silent, kubectl itself waits for half of it."""
RIGHTS: Final = "who may what is set by roles of the cluster; docs/kubectl.md lists those that this needs"

_ERRORS: Final = ("error:", "Error from server", "Unable to connect", "The connection to the server")
"""How kubectl's own last word begins; before it may be lines of its libraries (kubectl 1.32: pkg/cmd/util/helpers.go)."""


Mend = Callable[[str], str]
"""What to do about a reason that kubectl gave; empty where nothing is known."""


def unknown(reason: str) -> str:
    """Know no mend."""
    del reason
    return ""


class Kubectl:
    """The user's kubectl with the options that were given for it."""

    def __init__(self, options: Sequence[str], program: str = "kubectl") -> None:
        """Raise CommandError where there is no such program."""
        found = shutil.which(program)
        if not found:
            raise CommandError(f"{program} is not in PATH: the collector is reached through it")
        self._program, self._options = found, tuple(options)

    def ask(self, *words: str, mend: Mend = unknown) -> bytes:
        """Return what kubectl prints; raises CommandError with its reason and what `mend` makes of that."""
        try:
            # Plugins that sign in may ask on the terminal.
            done = subprocess.run(self._line(words), capture_output=True, stdin=None, timeout=SECONDS, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            told = error.strerror if isinstance(error, OSError) else f"no answer in {SECONDS:.0f} s"
            raise CommandError(f"kubectl {words[0]}: {told}") from None
        if done.returncode:
            raise refused(words[0], done.stderr.decode(errors="replace").splitlines(), mend)
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start kubectl; raises CommandError."""
        try:
            return subprocess.Popen(self._line(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise CommandError(f"kubectl {words[0]}: {error.strerror}") from None

    def _line(self, words: Sequence[str]) -> list[str]:
        return [self._program, *self._options, *words]


def refused(word: str, said: Sequence[str], mend: Mend = unknown) -> CommandError:
    """Return the error for a kubectl that failed and `said` these lines."""
    reason = last_word(said) or "it ended without a reason"
    more = RIGHTS if "(Forbidden)" in reason else mend(reason)
    return CommandError(f"kubectl {word}: {reason}{f'; {more}' if more else ''}")


def last_word(said: Sequence[str]) -> str:
    """Return kubectl's own reason among its lines, fit to be shown."""
    lines = [line.strip() for line in said if line.strip()]
    reasons = [line for line in lines if line.startswith(_ERRORS)] or lines
    return printable(redact(reasons[-1]), 600) if reasons else ""
