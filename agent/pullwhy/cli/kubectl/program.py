"""The `kubectl` program as a child: how it is found, asked and, where it refuses, understood."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from pullwhy.cli.kubectl.said import Said, Terminal
from pullwhy.cli.main import CommandError

SECONDS: Final = 60.0
"""For one answer; where the API server is silent, kubectl itself waits for half of it."""
SIGN_IN_SECONDS: Final = 300.0
"""The same where a person may have to sign in meanwhile."""
RIGHTS: Final = "who may what is set by roles of the cluster; docs/kubectl.md lists those that this needs"

Mend = Callable[[str], str]
"""What to do about a reason that kubectl gave; empty where nothing is known."""


def unknown(reason: str) -> str:
    """Know no mend."""
    del reason
    return ""


class Kubectl:
    """The user's kubectl with the options that were given for it."""

    def __init__(self, options: Sequence[str], program: str = "kubectl", terminal: Terminal | None = None) -> None:
        """`terminal`: where somebody reads how to sign in. Raise CommandError where there is no such program."""
        found = shutil.which(program)
        if not found:
            raise CommandError(f"{program} is not in PATH: the collector is reached through it")
        self._program, self._options, self._terminal = found, tuple(options), terminal
        self.seconds = SIGN_IN_SECONDS if terminal else SECONDS
        """How long an answer is waited for."""

    def ask(self, *words: str, mend: Mend = unknown) -> bytes:
        """Return what kubectl prints; raises CommandError with its reason and what `mend` makes of that."""
        with self.start(*words) as process:
            said = self.follow(process)
            try:
                answer, _ = process.communicate(timeout=self.seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise no_answer(words[0], f"no answer in {self.seconds:.0f} s", said) from None
            except BaseException:  # a signal, as subprocess.run does
                process.kill()
                raise
            finally:
                said.close()
        if process.returncode:
            raise refused(words[0], said.ended(), mend)
        return answer

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start kubectl, whose plugins may ask on the terminal; raises CommandError."""
        line = [self._program, *self._options, *words]
        try:
            return subprocess.Popen(line, stdin=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise CommandError(f"kubectl {words[0]}: {error.strerror}") from None

    def follow(self, process: subprocess.Popen[bytes]) -> Said:
        """Take over the standard error of a kubectl that was started."""
        stream, process.stderr = process.stderr, None
        assert stream  # noqa: S101 - as `start` made it
        return Said(stream, self._terminal)


def terminal() -> Terminal | None:
    """Return the terminal to which standard error goes, if it is one."""
    return sys.stderr.buffer if sys.stderr is not None and sys.stderr.isatty() else None


def refused(word: str, reason: str, mend: Mend = unknown) -> CommandError:
    """Return the error for a kubectl that failed for this reason."""
    more = RIGHTS if "(Forbidden)" in reason else mend(reason)
    return CommandError(f"kubectl {word}: {reason or 'it ended without a reason'}{f'; {more}' if more else ''}")


def no_answer(word: str, told: str, said: Said) -> CommandError:
    """Return the error for a kubectl that was not waited for any longer: a plugin that waits for somebody has said so."""
    reason = said.last_word()
    return CommandError(f"kubectl {word}: {told}{f'; it said: {reason}' if reason else ''}")
