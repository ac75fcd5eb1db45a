"""What an Event says of a finding, and what it leaves out."""

from dataclasses import replace

import pytest
from collector.kubernetes import accepted
from collector.kubernetes.attending import failing
from collector.samples import finding
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.collector.kubernetes import event
from pullwhy.collector.kubernetes.directory import Pod
from pullwhy.model import RemedyRef

FACTS = Pod("shop", "web-1", "uid-web-1", "node-a", policies={"main": "Always"})


def test_the_text_names_cause_stage_remedy_and_id() -> None:
    told = failing()
    text = event.message(told)
    assert text.startswith("TagNotFound at Manifest (Proved): the registry has no such tag. ")
    assert text.endswith(f" (finding {told.id})")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("dial tcp 10.0.0.5:443: refused", "dial tcp [address]:443: refused"),
        ("no route to 192.0.2.1.", "no route to [address]."),
        ("from 10.0.0.5, then [2001:db8::1]:443", "from [address], then [address]:443"),
        ("fe80::1 and ::1 fail", "[address] and [address] fail"),
        ("at 12:30:00 version 1.28.3 tag 1.2", "at 12:30:00 version 1.28.3 tag 1.2"),
        ("sha256:0123456789abcdef", "sha256:0123456789abcdef"),
        ("containerd 1.6.20.1x", "containerd 1.6.20.1x"),
    ],
)
def test_addresses_are_left_out(text: str, clean: str) -> None:
    assert event.without_addresses(text) == clean


@given(st.text(), st.text(min_size=1, max_size=253), st.integers(min_value=-5, max_value=2**40))
def test_whatever_a_finding_holds_the_event_is_one_that_the_api_takes(text: str, name: str, attempts: int) -> None:
    diagnosis = replace(finding().diagnosis, summary=text * 40, remedy=RemedyRef("look-further", {"image": text}))
    told = failing(2, diagnosis=diagnosis)
    pod = replace(told.pods[0], uid=name, container=name, attempts=attempts)
    made = event.body(told, pod, FACTS)
    accepted.event(made, "shop", event.name(told, pod))
    assert made["message"].isprintable()
    assert made["count"] >= 1


def test_secrets_and_escapes_of_a_summary_do_not_reach_the_event() -> None:
    diagnosis = replace(finding().diagnosis, summary="\x1b[31m\u202e at 10.1.2.3: Bearer abcdefgh12345678")
    text = event.message(failing(diagnosis=diagnosis))
    assert "abcdefgh" not in text
    assert "10.1.2.3" not in text
    assert "\\x1b[31m\\u202e" in text
