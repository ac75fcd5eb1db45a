"""The way to the collector: a `kubectl port-forward` to its Service, for as long as a command runs."""

from __future__ import annotations

import contextlib
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, Any, Final

from pullwhy.cli.kubectl.program import Kubectl, no_answer, refused
from pullwhy.cli.kubectl.said import Said

SERVICE: Final = "pullwhy-collector"
PORT: Final = "http"
"""The name of the Service's port."""
END_SECONDS: Final = 5.0

_READY: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d{1,5}) -> \d{1,5}\s*\Z")
"""kubectl 1.20 to 1.36: k8s.io/client-go/tools/portforward/portforward.go, listenOnPortAndAddress."""
_LINE: Final = 4096
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Tunnel:
    """A port of this machine that leads to the collector."""

    def __init__(self, kubectl: Kubectl, namespace: str, start_seconds: float | None = None) -> None:
        self._kubectl, self.namespace, self._start_seconds = kubectl, namespace, start_seconds or kubectl.seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._said: Said | None = None

    @property
    def name(self) -> str:
        """What is at its other end, for people."""
        return f"service/{SERVICE} in namespace {self.namespace}"

    @property
    def stands(self) -> bool:
        """Whether kubectl runs, and so holds the port: when it ends, any user of this machine may take that."""
        return self._process is not None and self._process.poll() is None

    def open(self) -> str:
        """Return the address of a new tunnel, having closed the last; raises CommandError."""
        self.close()
        self._said = None
        words = ("port-forward", f"--namespace={self.namespace}", "--address=127.0.0.1", f"service/{SERVICE}")
        with deferred():
            # A signal in between would leave a child that nobody knows of.
            process = self._process = self._kubectl.start(*words, f":{PORT}")
        said = self._said = self._kubectl.follow(process)
        ports: queue.Queue[int] = queue.Queue()
        self._thread = threading.Thread(target=_follow_ports, args=(process.stdout, ports), daemon=True)
        self._thread.start()
        try:
            port = ports.get(timeout=self._start_seconds)
        except queue.Empty:
            raise no_answer("port-forward", f"no port in {self._start_seconds:.0f} s", said) from None
        if not port:
            raise refused("port-forward", said.ended(), self._mend)
        return f"http://127.0.0.1:{port}"

    def said(self) -> str:
        """Return what kubectl said last; empty for nothing."""
        return self._said.last_word() if self._said else ""

    def close(self) -> None:
        """End the child, if there is one; its port is free afterwards."""
        with deferred():
            process, self._process = self._process, None
            if not process:
                return
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if self._said:
                self._said.close()
            if self._thread and process.stdout:
                self._thread.join(END_SECONDS)
                process.stdout.close()

    def _mend(self, reason: str) -> str:
        if "NotFound" in reason or "not found" in reason:
            return "where pullwhy is installed is said with --pullwhy-namespace or PULLWHY_NAMESPACE"
        if "not running" in reason or "timed out waiting for the condition" in reason:
            return f"see why: kubectl get pods --namespace {self.namespace}"
        return ""


def _follow_ports(stream: IO[bytes], ports: queue.Queue[int]) -> None:
    """Tell the port, then read on so that kubectl never waits for a reader; tell 0 at the end."""
    while line := stream.readline(_LINE):
        match = _READY.match(line)
        if match:
            ports.put(int(match[1]))
    ports.put(0)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Have signals that end the program wait for the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers: dict[signal.Signals, Any] = {each: signal.getsignal(each) for each in SIGNALS}
    # What is ignored (nohup) stays so, for the child too.
    before = {each: handler for each, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for each in before:
        signal.signal(each, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if came:
            signal.raise_signal(came[0])
