"""Logs and error texts: a registry's answer, a pod's name or a broken disk can put any bytes there."""

import contextlib
import io
from datetime import UTC, datetime
from typing import Final

from fuzz.target import Target
from pullwhy.diagnose.classify.classifier import classify
from pullwhy.image import InvalidReference, parse
from pullwhy.watch.failures import Recogniser
from pullwhy.watch.lines import LogLine
from pullwhy.watch.logtext import UnreadableLog, read_log

NOW: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
SYNC: Final = (
    b'E1122 12:00:00.000000    1234 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" '
    b'for \\"app\\" with ErrImagePull: \\"failed to pull and unpack image \\\\\\"registry.example/a:1\\\\\\": not found\\"" '
    b'pod="shop/web" podUID="6b6e2a2e-0000-4000-8000-000000000001"'
)
SHREDDED: Final = (
    b'E1122 12:00:00.000000    1234 log.go:32] "PullImage from image service failed" err=<\n'
    b"\trpc error: code = Unknown desc = failed to pull and unpack image: 429 Too Many Requests\n"
    b'\ttoomanyrequests: slow down\n > image="registry.example/a:1"'
)
JSON_LINE: Final = (
    b'{"ts":1764000000000.1,"caller":"kubelet/pod_workers.go:1301","msg":"Error syncing pod, skipping",'
    b'"pod":{"name":"web","namespace":"shop"},"podUID":"u","err":"failed to \\"StartContainer\\" for \\"app\\" with '
    b'ImagePullBackOff: \\"Back-off pulling image \\\\\\"a:1\\\\\\"\\""}'
)
CONTAINERD: Final = (
    b'time="2026-11-22T12:00:00Z" level=info msg="trying next host" error="dial tcp: i/o timeout" host=mirror.example',
    b'time="2026-11-22T12:00:00Z" level=info msg="PullImage \\"registry.example/a:1\\""',
    b'time="2026-11-22T12:00:01Z" level=error msg="PullImage \\"registry.example/a:1\\" failed" error="not found"',
)
STRUCT: Final = (
    b"E1122 12:00:00.000000    1234 kuberuntime_manager.go:1256] container &Container{Name:app,Image:a:1,Env:[]EnvVar{"
    b"EnvVar{Name:TOKEN,Value:canary,},},} start failed in pod web_shop(u): ErrImagePull: not found"
)
EXPORT: Final = (
    b"__CURSOR=c\n__REALTIME_TIMESTAMP=1764000000000000\n_SYSTEMD_UNIT=kubelet.service\n_PID=7\nMESSAGE="
    + SYNC
    + b"\n\n"
)


def recognise(data: bytes) -> None:
    """Feed lines, of one stream or of two, to the recogniser; what it tells is bounded."""
    recogniser = Recogniser()
    for number, text in enumerate(data.decode("utf-8", "surrogateescape").split("\n")):
        stream = str(number % 2) if data[:1] == b"!" else ""
        for told in recogniser.feed(LogLine(NOW, "kubelet.service", text, stream, 7)):
            assert len(repr(told)) < 4 * len(data) + 100_000


def message(data: bytes) -> None:
    """Classify one text."""
    classify(data.decode("utf-8", "replace"))


def stored_log(data: bytes) -> None:
    """Read a stored log of whatever form."""
    with contextlib.suppress(UnreadableLog):
        for _ in read_log(io.BufferedReader(io.BytesIO(data)), "kubelet.log", NOW):
            pass


def reference(data: bytes) -> None:
    """Parse an image reference; one that parses prints as one that parses alike."""
    try:
        found = parse(data.decode("utf-8", "replace"))
    except InvalidReference:
        return
    again = parse(str(found))
    assert (again.name, again.tag, again.digest) == (found.name, found.tag, found.digest)


TARGETS: Final = (
    Target(
        "klog",
        recognise,
        (SYNC, SHREDDED, JSON_LINE, STRUCT, b"\n".join(CONTAINERD)),
        (b'\\"', b"[", b'failed to "', b"&Container{Name:a,Image:b,", b"err=<\n\t", b"{"),
    ),
    Target(
        "message",
        message,
        (SYNC, SHREDDED, JSON_LINE, *CONTAINERD),
        (b'\\"', b": ", b"rpc error: code = ", b"[", b"(Mirrors also failed: ["),
    ),
    Target("stored-log", stored_log, (EXPORT, SYNC, JSON_LINE, b"\x1f\x8b\x08\x00"), (b"A=", b"\n", b"A\n\xff")),
    Target(
        "image",
        reference,
        (b"nginx", b"registry.example:5000/a/b:1@sha256:" + b"0" * 64),
        (b"a/", b".", b"_", b":", b"@"),
    ),
)
