"""A machine of the lab: mount, process, network, cgroup and UTS namespaces that end with the process that made them."""

import ctypes
import dataclasses
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import psutil

from lab import cgroups
from lab.errors import LabError, last_lines, wait_for

TESTS = Path(__file__).resolve().parents[1]
REPOSITORY = TESTS.parent
CGROUP_PREFIX = "pullwhy-lab-"
_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EMPTY = (
    "/run",
    "/root",
    "/var/log",
    "/etc/containerd",
    "/etc/containers",
    "/etc/docker",
    "/etc/cni",
    "/etc/kubernetes",
    "/etc/pullwhy",
    "/etc/systemd/system",
    "/opt/containerd",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/pullwhy",
)
"""Folders that begin empty in each namespace, whatever the host has there."""


class Process:
    """A program that runs inside a namespace; *pid* is its number on the host."""

    def __init__(self, entered: "subprocess.Popen[str]") -> None:
        self._entered = entered

    @property
    def pid(self) -> int:
        """The program's own process number on the host; raises LabError when it has ended already."""
        children = wait_for("the program to start", self._children, seconds=5)
        return children[0].pid

    @property
    def stdin(self) -> IO[str] | None:
        """The program's standard input, where it is a pipe."""
        return self._entered.stdin

    @property
    def stdout(self) -> IO[str] | None:
        """The program's standard output, where it is a pipe."""
        return self._entered.stdout

    @property
    def stderr(self) -> IO[str] | None:
        """The program's standard error, where it is a pipe."""
        return self._entered.stderr

    def poll(self) -> int | None:
        """Return the exit status, or None while the program runs."""
        return self._entered.poll()

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end and return the exit status; raises LabError when it takes longer than *seconds*."""
        try:
            return self._entered.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self._entered.args!r} did not end within {seconds:g} s") from None

    def communicate(self, text: str | None = None, seconds: float = 60) -> tuple[str, str]:
        """Give *text*, and return what was printed once the program has ended; raises LabError when it takes longer."""
        try:
            return self._entered.communicate(text, seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self._entered.args!r} did not end within {seconds:g} s") from None

    def signal(self, number: int) -> None:
        """Send a signal to the program itself, not to the helper that entered the namespace."""
        if self._entered.poll() is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        """End the program, if it still runs, and its pipes."""
        self._entered.kill()
        self._entered.wait()
        for pipe in (self._entered.stdin, self._entered.stdout, self._entered.stderr):
            if pipe is not None:
                pipe.close()

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._entered.pid).children()
        except psutil.NoSuchProcess:
            raise LabError(f"{self._entered.args!r} has ended with {self._entered.poll()}") from None


@dataclasses.dataclass(frozen=True, slots=True)
class Namespace:
    """A running namespace. Programs entered into it die with it, and it dies with the process that made it."""

    name: str
    pid: int
    cgroup: str
    _holder: "subprocess.Popen[str]"

    @classmethod
    def start(cls, name: str, *, shared: Sequence[Path] = (), files: Mapping[str, str] | None = None) -> "Namespace":
        """Make a namespace with the host name *name*; *shared* folders are the host's own, *files* are written into it.

        Raises LabError when the kernel refuses; needs root.
        """
        if os.geteuid() != 0:
            raise LabError("the lab needs root: run it as root or through sudo")
        cgroup = f"{CGROUP_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        spec = {
            "hostname": name,
            "cgroup": cgroup,
            "shared": sorted(
                {str(path) for path in (REPOSITORY, Path(sys.prefix), Path(tempfile.gettempdir()), *shared)}
            ),
            "empty": list(EMPTY),
            "files": dict(files or {}),
        }
        flags = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        holder = subprocess.Popen(
            ["unshare", *flags, sys.executable, "-m", "lab.init"],
            env=own_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if holder.stdin is None or holder.stdout is None or holder.stderr is None:
            raise LabError(f"namespace {name}: no pipes")
        holder.stdin.write(json.dumps(spec) + "\n")
        holder.stdin.flush()
        word, _, rest = holder.stdout.readline().strip().partition(" ")
        if word != "ready":
            holder.stdin.close()
            raise LabError(f"namespace {name}: {rest}\n{last_lines(holder.stderr.read())}")
        return cls(name, int(rest), cgroup, holder)

    def path(self, inside: str) -> Path:
        """Return where the host sees the file *inside* of this namespace. Absolute symbolic links must not be followed."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def write(self, inside: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of the namespace, with its folders, and return where the host sees it."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        seconds: float = 60,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program to its end; raises LabError when it takes too long or, with *check*, when it fails."""
        process = self.popen(
            argv,
            env=env,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = process.communicate(stdin, seconds)
        finally:
            process.close()
        words = [str(word) for word in argv]
        done = subprocess.CompletedProcess(words, process.wait(), out, err)
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(words)} ended with {done.returncode}:\n{last_lines(out + err)}")
        return done

    def run_on_network(self, argv: Sequence[str], stdin: str) -> None:
        """Run a program of the host on this namespace's network only; raises LabError when it fails."""
        words = ["nsenter", "--target", str(self.pid), "--net", "--", *argv]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(argv)} ended with {done.returncode}: {last_lines(done.stderr)}")

    def listen(self, address: str) -> socket.socket:
        """Return a socket of this very process that listens on an address of the namespace's network; raises LabError."""
        with ThreadPoolExecutor(1) as one:
            return one.submit(self._listen, address).result()

    def _listen(self, address: str) -> socket.socket:
        # A network namespace is a thread's own: this one ends here, and what it opened stays in that network.
        with Path(f"/proc/{self.pid}/ns/net").open("rb") as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _NETWORK) != 0:
                raise LabError(f"{self.name}: its network cannot be entered: {os.strerror(ctypes.get_errno())}")
        return socket.create_server((address, 0))

    def popen(self, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, **options: Any) -> Process:
        """Start a program; *options* are those of subprocess.Popen. It is killed when this process ends."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--uts", "--ipc", "--pid", "--cgroup"]
        words = [*enter, "--", "setpriv", "--pdeathsig", "KILL", *[str(word) for word in argv]]
        environment = base_environment() | dict(env or {})
        return Process(subprocess.Popen(words, env=environment, text=True, start_new_session=True, **options))

    def close(self) -> None:
        """End everything that runs in the namespace, and the namespace."""
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            if pipe is not None:
                pipe.close()
        try:
            self._holder.wait(10)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
            cgroups.remove(self.cgroup)


def base_environment() -> dict[str, str]:
    """Return the environment of a program on a node: nothing of the caller's."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{SEARCH_PATH}",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
    }


def own_environment() -> dict[str, str]:
    """Return the environment for the lab's own Python programs."""
    return base_environment() | {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
