"""Takes from the walk's child everything that a walk does not need: it talks to whomever an image names."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from typing import Final

NOBODY: Final = 65_534
"""User and group of the child where it was started by root."""
ADDRESS_SPACE: Final = 1024 * 1024 * 1024
"""Bytes of address space; a walk maps about 200 MiB."""
CPU_SECONDS: Final = 120
"""CPU of the child's whole life; a walk takes about 0.05 s."""
OPEN_FILES: Final = 256
"""Descriptors: three walks of sixteen streams each, with room."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_NO_CAPABILITIES: Final = struct.pack("=Ii", 0x2008_0522, 0), bytes(24)
"""Header (_LINUX_CAPABILITY_VERSION_3, this process) and empty sets (capset(2))."""


class NotConfined(Exception):
    """The child could not be confined; it must not serve."""


def confine(parent: int) -> None:
    """Drop privileges, descriptors, environment and limits of this process; raises NotConfined.

    Everything that the process will import must be imported by now: an unprivileged user may not be able to read the interpreter's
    files. `parent` is the process whose end must be ours.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.environ.clear()
    os.chdir("/")
    os.umask(0o077)
    _limit()
    if os.getuid() == 0:
        _become_nobody()
    # An agent that is not root has capabilities of its own (ambient ones survive an exec), and the child has them with it.
    if libc.capset(*_NO_CAPABILITIES) != 0:
        raise NotConfined(f"capset: {os.strerror(ctypes.get_errno())}")
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_DUMPABLE, 0), (_PR_SET_PDEATHSIG, signal.SIGKILL)):
        # After the change of user: the kernel forgets the death signal then.
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise NotConfined(f"prctl {option}: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        raise NotConfined("the parent is gone")


def _limit() -> None:
    for what, value in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, hard = resource.getrlimit(what)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (ceiling, ceiling))


def _become_nobody() -> None:
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        raise NotConfined(f"cannot change user: {error.strerror}; CAP_SETUID and CAP_SETGID are needed") from error
