import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pullwhy.model import PodRef, Reason
from pullwhy.node.incidents.incidents import Incident
from pullwhy.node.incidents.schedule import Schedule

START = datetime(2026, 11, 22, 8, tzinfo=UTC)
NOW = START + timedelta(days=1)
SUBJECT = ("registry.example/web:1", "tag")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def incident(seconds: float = 0, pod: str = "web", **changes: object) -> Incident:
    base = Incident(
        SUBJECT[0], Reason.ERR_IMAGE_PULL, "m", SUBJECT[1], START, at(seconds), PodRef("shop", pod, pod), confirmed=True
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def walked(*, our_fault: bool = False) -> Schedule:
    schedule = Schedule(random.Random(1))
    schedule.started(SUBJECT)
    schedule.ended(SUBJECT, at(1), "f", our_fault=our_fault)
    return schedule


def test_a_new_subject_is_due_once_for_all_its_pods() -> None:
    schedule = Schedule(random.Random(1))
    due = schedule.due([incident(0, "a"), incident(5, "b"), incident(3, "c")], "f", NOW)
    assert [each.pod and each.pod.name for each in due] == ["b"]
    schedule.started(SUBJECT)
    assert schedule.due([incident()], "f", NOW) == []


def test_what_is_not_confirmed_is_not_walked() -> None:
    assert Schedule(random.Random(1)).due([incident(confirmed=False)], "f", NOW) == []


@pytest.mark.parametrize(
    ("later", "fingerprint", "due"),
    [
        (incident(30), "f", False),
        (incident(30), "changed", True),
        (incident(30, topic="denied"), "f", True),
        (incident(590), "f", False),
        (incident(1 + 600 + 60), "f", True),
    ],
)
def test_walks_again_when_something_changed_or_ten_minutes_later(later: Incident, fingerprint: str, due: bool) -> None:
    assert bool(walked().due([later], fingerprint, NOW)) is due


def test_a_walk_that_failed_by_our_fault_is_repeated_sooner() -> None:
    assert walked(our_fault=True).due([incident(1 + 120 + 60)], "f", NOW)
    assert not walked(our_fault=True).due([incident(100)], "f", NOW)


def test_a_cancelled_investigation_is_due_as_before() -> None:
    schedule = Schedule(random.Random(1))
    schedule.started(SUBJECT)
    schedule.cancelled(SUBJECT)
    assert schedule.due([incident()], "f", NOW)


def test_what_no_incident_needs_is_forgotten() -> None:
    schedule = walked()
    schedule.forget([incident()])
    assert schedule.walked
    schedule.forget([])
    assert not schedule.walked


def deferred(until: float) -> Schedule:
    schedule = Schedule(random.Random(1))
    schedule.started(SUBJECT)
    schedule.deferred(SUBJECT, at(1), "f", at(until))
    return schedule


def test_a_walk_that_waits_for_its_turn_is_made_then_whether_or_not_a_line_came_since() -> None:
    schedule = deferred(20)
    assert schedule.next_turn() == at(20)
    assert not schedule.due([incident(19)], "f", at(19))
    assert not schedule.turn_has_come(SUBJECT, "f", at(19))
    assert schedule.due([incident(2)], "f", at(20))
    assert schedule.turn_has_come(SUBJECT, "f", at(20))


def test_a_changed_configuration_ends_the_wait() -> None:
    schedule = deferred(20)
    assert schedule.due([incident(2)], "g", at(3))
    assert schedule.turn_has_come(SUBJECT, "g", at(3))


def test_who_was_never_told_to_wait_asks_and_asks_again_for_each_later_walk() -> None:
    assert not Schedule(random.Random(1)).turn_has_come(SUBJECT, "f", NOW)
    made = deferred(20)
    made.started(SUBJECT)
    made.ended(SUBJECT, at(21), "f", our_fault=False)
    assert made.next_turn() is None
    assert not made.turn_has_come(SUBJECT, "f", NOW)
