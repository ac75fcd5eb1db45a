"""The runtime's own lines as events."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.watch.events import RuntimeEvent, RuntimeEventKind
from pullwhy.watch.lines import LogLine
from pullwhy.watch.runtimelog import MAX_REQUESTS, RuntimeLog

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
K = RuntimeEventKind


def read(*texts: str) -> RuntimeEvent | None:
    log = RuntimeLog()
    event = None
    for text in texts:
        event = log.read(LogLine(NOW, "containerd.service", text))
    return event


def event(kind: RuntimeEventKind, image: str = "", host: str = "", error: str = "") -> RuntimeEvent:
    return RuntimeEvent(NOW, "containerd.service", kind, image, host, error)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (r'level=info msg="PullImage \"r.example/a:1\""', event(K.PULL_STARTED, "r.example/a:1")),
        (r'level=info msg="PullImage \"a:1\" returns image reference \"sha256:ab\""', event(K.PULL_ENDED, "a:1")),
        (
            r'level=error msg="PullImage \"a:1\" failed" error="failed: \"x\""',
            event(K.PULL_ENDED, "a:1", error='failed: "x"'),
        ),
        (
            'level=info msg="trying next host" error="failed to do request: EOF" host="m.example:5000"',
            event(K.TRYING_NEXT_HOST, host="m.example:5000", error="failed to do request: EOF"),
        ),
        (
            'level=info msg="trying next host - response was http.StatusNotFound" host=m.example',
            event(K.TRYING_NEXT_HOST, host="m.example", error="404 Not Found"),
        ),
        (
            'level=info msg="trying next host after status: 404 Not Found" host=m.example',
            event(K.TRYING_NEXT_HOST, host="m.example", error="404 Not Found"),
        ),
        ('level=info msg="fetch failed" error=EOF host=r.example', event(K.HOST_FAILED, host="r.example", error="EOF")),
        (
            'level=info msg="fetch failed after status: 502 Bad Gateway" host=r.example',
            event(K.HOST_FAILED, host="r.example", error="502 Bad Gateway"),
        ),
        (
            'level=error msg="failed to decode hosts.toml" error="invalid `host` tree"',
            event(K.HOSTS_TOML_DECODE_ERROR, error="failed to decode hosts.toml: invalid `host` tree"),
        ),
        (
            'level=error msg="cancel pulling image r.example/a:1 because of no progress in 5m0s"',
            event(
                K.PULL_CANCELLED,
                "r.example/a:1",
                error="cancel pulling image r.example/a:1 because of no progress in 5m0s",
            ),
        ),
    ],
)
def test_containerd_lines(rest: str, expected: RuntimeEvent) -> None:
    assert read(f'time="2026-11-22T08:07:28.834296788Z" {rest}') == expected


@pytest.mark.parametrize(
    "text",
    [
        'time="x" level=info msg="stop pulling image a:1: active requests=0, bytes read=421"',
        'time="x" level=info msg="PullImage"',
        'time="x" level=info msg="ImageCreate event name:\\"a\\""',
        "trying next host",
        "",
    ],
)
def test_other_lines_are_no_event(text: str) -> None:
    assert read(text) is None


def test_json_log() -> None:
    text = '{"error":"boom","level":"error","msg":"PullImage \\"a:1\\" failed","time":"2026-11-22T08:07:28Z"}'
    assert read(text) == event(K.PULL_ENDED, "a:1", error="boom")


def test_k0s_wraps_containerd() -> None:
    inner = 'time=\\"x\\" level=info msg=\\"trying next host\\" error=EOF host=m.example'
    text = f'time="2026-11-22 08:00:00" level=info msg="{inner}" component=containerd stream=stderr'
    assert read(text) == event(K.TRYING_NEXT_HOST, host="m.example", error="EOF")


CRIO = 'file="server/image_pull.go:35" id=%s name=/runtime.v1.ImageService/PullImage'


def test_crio_ends_name_the_image_that_was_asked_for() -> None:
    start = f'time="x" level=info msg="Pulling image: r.example/a:1" {CRIO % "1"}'
    assert read(start) == event(K.PULL_STARTED, "r.example/a:1")
    end = f'time="x" level=info msg="Pulled image: r.example/a@sha256:ab" {CRIO % "1"}'
    assert read(start, end) == event(K.PULL_ENDED, "r.example/a:1")
    failed = f'time="x" level=debug msg="Response error: reading manifest 1: manifest unknown" {CRIO % "1"}'
    assert read(start, failed) == event(K.PULL_ENDED, "r.example/a:1", error="reading manifest 1: manifest unknown")


def test_crio_requests_that_never_end_are_forgotten() -> None:
    starts = [f'time="x" level=info msg="Pulling image: a:{n}" {CRIO % n}' for n in range(MAX_REQUESTS + 1)]
    end = f'time="x" level=info msg="Pulled image: a@sha256:ab" {CRIO % "0"}'
    assert read(*starts, end) == event(K.PULL_ENDED)


def test_secrets_are_dropped() -> None:
    found = read(
        'time="x" level=info msg="fetch failed" error="Get \\"https://u:hunter2@r.example/\\": EOF" host=r.example'
    )
    assert found is not None
    assert "hunter2" not in found.error


def test_success_is_told_from_failure() -> None:
    assert event(K.PULL_ENDED, "a").succeeded
    assert not event(K.PULL_ENDED, "a", error="x").succeeded
    assert not event(K.PULL_STARTED, "a").succeeded


@given(st.text())
def test_reading_never_raises(text: str) -> None:
    read(text)
    read(f'time="x" level=info msg={text}')
    read("{" + text)
