"""One log record of the kubelet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.watch.klog import KlogRecord, parse

HEADER = "E1122 08:10:35.850846   20212 remote_image.go:250] "


@pytest.mark.parametrize("prefix", ["", "kubelet ", "kubelet-1.29 "])
def test_structured_text(prefix: str) -> None:
    record = parse(prefix + HEADER + r'"PullImage from image service failed" err="a \"b\"" image="x:1"')
    assert record == KlogRecord(
        "E", "remote_image.go", "PullImage from image service failed", {"err": 'a "b"', "image": "x:1"}, structured=True
    )


def test_pid_takes_the_width_it_needs() -> None:
    assert parse('I0101 00:00:00.000000       1 a.go:1] "m"') == KlogRecord("I", "a.go", "m", {}, structured=True)
    assert parse('I0101 00:00:00.000000 4194304 a.go:1] "m"') == KlogRecord("I", "a.go", "m", {}, structured=True)


def test_unstructured_text_is_its_own_message() -> None:
    assert parse(HEADER + 'container &Container{} failed: "x"') == KlogRecord(
        "E", "remote_image.go", 'container &Container{} failed: "x"'
    )


def test_multi_line_value() -> None:
    record = parse(HEADER + '"Failed" err=<\n\tfirst\n\tsecond\n > image="x"')
    assert record is not None
    assert record.fields == {"err": "first\nsecond", "image": "x"}


@pytest.mark.parametrize(("extra", "severity"), [("", "E"), (',"v":2', "I")])
def test_json(extra: str, severity: str) -> None:
    record = parse(
        '{"ts":1738515496146.4,"caller":"kubelet/pod_workers.go:1301","msg":"Error syncing pod, skipping",'
        '"pod":{"name":"p","namespace":"n"},"podUID":"u","err":"a\\nb"' + extra + "}"
    )
    assert record is not None
    assert (record.severity, record.file, record.message) == (severity, "pod_workers.go", "Error syncing pod, skipping")
    assert (record.fields["pod"], record.fields["podUID"], record.fields["err"]) == ("n/p", "u", "a\nb")


def test_k0s_wraps_the_line_in_logrus() -> None:
    record = parse(
        'time="2026-11-22 08:10:35" level=info msg="E1122 08:10:35.850846   20212 pod_workers.go:1] \\"Error\\" err=\\"x\\""'
        " component=kubelet stream=stderr"
    )
    assert record == KlogRecord("E", "pod_workers.go", "Error", {"err": "x"}, structured=True)


@pytest.mark.parametrize(
    "text", ["", "plain", '{"a":1}', "{", '["msg"]', 'time="x" level=info msg="y"', "\tE1122", HEADER[:-1]]
)
def test_other_lines_are_no_record(text: str) -> None:
    assert parse(text) is None


@given(st.text())
def test_parsing_never_raises(text: str) -> None:
    parse(text)
    parse(HEADER + text)
    parse("{" + text)
