"""The kubelet's log formats."""

import datetime as dt
import json

from lab.kubelet.klog import Entry, ObjectRef, as_json, text

WHEN = dt.datetime(2026, 11, 22, 8, 10, 38, 682990, tzinfo=dt.UTC)
POD = ("pod", ObjectRef("default", "web-0"))


def test_the_error_comes_first_and_the_logger_last() -> None:
    entry = Entry("E", "pod_workers.go:1301", "Error syncing pod, skipping", 'say "no"', [POD], logger="sync")
    assert text(entry, WHEN, 1859) == (
        'E1122 08:10:38.682990    1859 pod_workers.go:1301] "Error syncing pod, skipping" '
        r'err="say \"no\"" pod="default/web-0" logger="sync"'
    )


def test_a_value_with_a_line_break_is_printed_as_lines_of_its_own() -> None:
    entry = Entry(
        "E", "remote_image.go:250", "PullImage from image service failed", "first\nsecond", [("image", "a:1")]
    )
    assert text(entry, WHEN, 20212).splitlines() == [
        'E1122 08:10:38.682990   20212 remote_image.go:250] "PullImage from image service failed" err=<',
        "\tfirst",
        "\tsecond",
        ' > image="a:1"',
    ]


def test_a_last_line_break_adds_no_empty_line() -> None:
    entry = Entry("I", "a.go:1", "m", pairs=[("key", "one\n")])
    assert text(entry, WHEN, 1).splitlines()[1:] == ["\tone", " >"]


def test_an_unstructured_call_is_printed_raw() -> None:
    entry = Entry("E", "kuberuntime_manager.go:1222", "container x\ny", raw=True)
    assert text(entry, WHEN, 1).endswith("kuberuntime_manager.go:1222] container x\ny")


def test_json_has_objects_epoch_milliseconds_and_no_severity() -> None:
    entry = Entry("E", "pod_workers.go:1301", "Error syncing pod, skipping", "a\nb", [POD, ("podUID", "u")])
    line = as_json(entry, WHEN)
    assert "\n" not in line
    assert list(json.loads(line)) == ["ts", "caller", "msg", "pod", "podUID", "err"]
    assert json.loads(line)["ts"] == 1795335038682.99
    assert json.loads(line)["pod"] == {"name": "web-0", "namespace": "default"}
    assert json.loads(line)["caller"] == "kubelet/pod_workers.go:1301"
