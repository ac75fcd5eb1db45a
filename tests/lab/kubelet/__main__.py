"""The stand-in kubelet's process on a node: a thread for each pod of a folder, its lines on standard error."""

import argparse
import ctypes
import datetime as dt
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lab.kubelet import klog, lines
from lab.kubelet.cri import CriError, Runtime
from lab.kubelet.pods import Pod, decode
from lab.kubelet.records import Records
from lab.kubelet.sync import PLEG_SECONDS, Puller, Settings

PR_SET_NAME = 15
POLL_SECONDS = 0.05


class Log:
    """Writes whole entries, so that lines of two pods never mix within one."""

    def __init__(self, log_format: str) -> None:
        self._format = log_format
        self._lock = threading.Lock()

    def write(self, entries: Sequence[klog.Entry]) -> None:
        """Write the entries, with the time of now."""
        for entry in entries:
            now = dt.datetime.now().astimezone()
            text = klog.as_json(entry, now) if self._format == "json" else klog.text(entry, now, os.getpid())
            data = f"{text}\n".encode("utf-8", "surrogateescape")
            with self._lock:
                while data:
                    data = data[os.write(sys.stderr.fileno(), data) :]


class PodWorker:
    """Syncs one pod until it is removed or all its images are there."""

    def __init__(self, pod: Pod, puller: Puller, sandboxes: dict[str, str]) -> None:
        self._pod, self._puller, self._sandboxes = pod, puller, sandboxes
        self.removed = threading.Event()
        self._thread = threading.Thread(target=self._work, name=pod.name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        fresh = self._pod.uid not in self._sandboxes
        while not self.removed.is_set():
            if self._puller.sync(self._pod, self._sandboxes):
                return
            # The sandbox's start comes back as an event that causes one early sync.
            early = fresh and self._pod.uid in self._sandboxes
            fresh = fresh and not early
            self.removed.wait(PLEG_SECONDS * self._puller.settings.scale if early else self._puller.requeue_after())


def notify_ready() -> None:
    """Tell the service manager that start-up is over, where one listens."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1", path)


def follow(folder: Path, puller: Puller, runtime: Runtime) -> None:
    """Start and end workers as pod files come and go, until the process is ended."""
    workers: dict[str, PodWorker] = {}
    sandboxes: dict[str, str] = {}
    while True:
        present = {path.stem: path for path in folder.glob("*.json")}
        for uid in present.keys() - workers.keys():
            pod = decode(present[uid].read_text(encoding="utf-8"))
            try:
                known = runtime.sandboxes(uid)
            except CriError:
                known = []  # the runtime is down; the worker tells it in the kubelet's words
            if known:
                sandboxes[uid] = known[0]
            workers[uid] = PodWorker(pod, puller, sandboxes)
        for uid in workers.keys() - present.keys():
            workers.pop(uid).removed.set()
            try:
                for sandbox in runtime.sandboxes(uid):
                    runtime.remove_sandbox(sandbox)
            except CriError as failed:
                print(f"stand-in kubelet: sandbox of {uid}: {failed}", file=sys.stderr, flush=True)
            sandboxes.pop(uid, None)
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Run with the settings file and the folders of the command line."""
    parser = argparse.ArgumentParser(prog="kubelet")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--pods", type=Path, required=True)
    parser.add_argument("--descriptors", type=Path, required=True)
    parser.add_argument("--container-runtime-endpoint", required=True)
    # Read from the command line by who looks for it there; the settings say whether they count.
    parser.add_argument("--image-credential-provider-config")
    parser.add_argument("--image-credential-provider-bin-dir")
    options = parser.parse_args()
    # Programs that look for the kubelet go by its name.
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"kubelet", 0, 0, 0)
    settings = Settings(**json.loads(options.config.read_text(encoding="utf-8")))
    runtime = Runtime(options.container_runtime_endpoint.removeprefix("unix://"), options.descriptors)
    log = Log(settings.log_format)
    puller = Puller(settings, runtime, log.write, records=Records())
    log.write([lines.started(puller.style)])
    notify_ready()
    follow(options.pods, puller, runtime)


if __name__ == "__main__":
    main()
