"""What agents send is taken, and everything beyond the bounds is refused."""

import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from collector.samples import NOW, finding

from pullwhy.diagnose.document import codec, decoding
from pullwhy.model import (
    Evidence,
    FailingPod,
    Finding,
    KubeletState,
    Outcome,
    RemedyRef,
    Reproduction,
    Stage,
    TraceLine,
)

FULL = finding(
    1,
    kubelet=KubeletState(3, "m" * codec.MAX_STRINGS["last_message"], 40.0, NOW),
    reproduction=Reproduction("Failed", "", "Unknown", "m" * codec.MAX_STRINGS["message"], 1.5),
    trace=tuple(
        TraceLine(Stage.DNS, "t" * codec.MAX_SHORT, Outcome.PASSED, 0.1, "d", "")
        for _ in range(codec.MAX_ITEMS["trace"] // 4)
    ),
    pods=tuple(FailingPod("n", f"p{i}", "u", "c", next_retry_at=NOW) for i in range(codec.MAX_ITEMS["pods"])),
    resolved_at=NOW,
)


@pytest.mark.parametrize("sound", [finding(1), FULL])
def test_what_the_codec_made_comes_back_as_it_went(sound: Finding) -> None:
    data = codec.encode(sound)
    assert codec.encode(decoding.decode(data)) == data
    assert isinstance(decoding.decode(data), Finding)


def test_a_newer_agents_keys_and_an_older_ones_lack_of_them_are_borne() -> None:
    fields = msgspec.json.decode(codec.encode(finding(1)))
    del fields["zone"]
    fields["novel"] = {"deep": [1]}
    data = msgspec.json.encode(fields)
    assert codec.encode(decoding.decode(data)) == codec.encode(finding(1, zone=""))


def diagnosis(**changed: Any) -> dict[str, Any]:
    return {"diagnosis": dataclasses.replace(finding(1).diagnosis, **changed)}


LONG = codec.MAX_SHORT + 1

BROKEN: dict[str, dict[str, Any]] = {
    "node": {"node": ""},
    "image": {"image": "i" * LONG},
    "id": {"id": "x" * 65},
    "schema": {"schema": "pullwhy/v2"},
    "count": {"count": -1},
    "last_message": {"kubelet": KubeletState(last_message="m" * 8193)},
    "backoff_seconds": {"kubelet": KubeletState(backoff_seconds=-1.0)},
    "pods": {"pods": FULL.pods + FULL.pods[:1]},
    "name": {"pods": (FailingPod("n", "p" * LONG, "u", "c"),)},
    "fact": diagnosis(evidence=(Evidence(Stage.DNS, "f" * LONG, "walk"),)),
    "evidence": diagnosis(evidence=(Evidence(Stage.DNS, "f", "walk"),) * 65),
    "arguments": diagnosis(remedy=RemedyRef("r", {str(i): "" for i in range(65)})),
    "argument": diagnosis(remedy=RemedyRef("r", {"image": "i" * LONG})),
    "first_seen": {"first_seen": datetime(2025, 1, 1)},  # noqa: DTZ001 - the fault
    "next_retry_at": {"pods": (FailingPod("n", "p", "u", "c", next_retry_at=datetime(2025, 1, 1)),)},  # noqa: DTZ001 - the fault
    "last_seen": {"last_seen": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))},
}


@pytest.mark.parametrize("changed", BROKEN.values(), ids=BROKEN)
def test_what_is_beyond_the_bounds_is_refused(changed: dict[str, Any]) -> None:
    data = msgspec.json.encode(finding(1, **changed))
    with pytest.raises(codec.InvalidDocument):
        decoding.decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b"\xff", b'{"id": "\\ud800"}', b"[" * 10_000, b" " * (codec.MAX_DOCUMENT + 1)]
)
def test_bytes_that_are_no_finding_are_refused(data: bytes) -> None:
    with pytest.raises(codec.InvalidDocument):
        decoding.decode(data)
