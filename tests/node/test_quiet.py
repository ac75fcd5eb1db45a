"""Registries that asked to be left alone."""

import random
from datetime import timedelta

import pytest
from node.fakes import IMAGE, START, at, diagnosis

from pullwhy.model import CauseId, Confidence, Diagnosis, Outcome, RemedyRef, Stage
from pullwhy.node.incidents.quiet import MAX_JITTER, MAX_REGISTRIES, Quiet
from pullwhy.trace import HTTPFacts, StageResult, Trace

C = CauseId
LIMITED = Trace((StageResult(Stage.MANIFEST, "m", Outcome.FAILED, http=HTTPFacts("HEAD", "u", 429)),))


def found(cause: CauseId, until: float | None) -> Diagnosis:
    made = diagnosis(cause, Confidence.PROVED)
    arguments = {"until": f"{at(until):%Y-%m-%dT%H:%M:%SZ}"} if until is not None else {}
    return Diagnosis(made.cause, made.stage, made.confidence, made.retryable, "", RemedyRef("r", arguments))


def after(cause: CauseId, until: float | None, trace: Trace | None = None) -> Quiet:
    quiet = Quiet(random.Random(1))
    quiet.note(IMAGE, found(cause, until), trace, START)
    return quiet


def test_every_image_of_the_registry_waits_until_then_and_a_little_longer() -> None:
    until = after(C.RATE_LIMITED, 100).until("registry.example/other:2", START)
    assert until
    assert at(100) <= until <= at(110)
    assert after(C.RATE_LIMITED, 100).until("elsewhere.example/other:2", START) is None


def test_it_ends() -> None:
    quiet = after(C.RATE_LIMITED, 100)
    assert quiet.until(IMAGE, at(111)) is None
    assert quiet.until(IMAGE, at(50)) is None


def test_the_jitter_is_bounded_however_long_the_wait() -> None:
    until = after(C.RATE_LIMITED, 86_400).until(IMAGE, START)
    assert until
    assert until - at(86_400) <= MAX_JITTER


@pytest.mark.parametrize(
    ("cause", "until", "trace", "waits"),
    [
        (C.RATE_LIMITED, 100, None, True),
        (C.MIRROR_FAILED, 100, LIMITED, True),
        (C.TAG_NOT_FOUND, 100, None, False),
        (C.RATE_LIMITED, None, LIMITED, False),
        (C.RATE_LIMITED, -1, LIMITED, False),
    ],
)
def test_only_a_limit_that_names_its_end_counts(
    cause: CauseId, until: float | None, trace: Trace | None, waits: bool
) -> None:
    assert (after(cause, until, trace).until(IMAGE, START) is not None) is waits


def test_memory_is_bounded() -> None:
    quiet = Quiet(random.Random(1))
    for number in range(MAX_REGISTRIES + 50):
        quiet.note(f"r{number}.example/x", found(C.RATE_LIMITED, 100), None, START)
    assert len(quiet._until) == MAX_REGISTRIES
    assert quiet.until(f"r{MAX_REGISTRIES + 49}.example/y", START + timedelta(seconds=1))
    quiet.note("NO IMAGE", found(C.RATE_LIMITED, 100), None, START)
    assert quiet.until("NO IMAGE", START) is None


def test_on_behalf_of_others_nobody_asks_a_registry_for_a_while_that_names_no_time() -> None:
    quiet = after(C.RATE_LIMITED, None)
    assert quiet.until(IMAGE, START) is None
    assert quiet.for_others("registry.example/other:2", START) == at(300)
    assert quiet.for_others(IMAGE, at(300)) is None
    assert quiet.for_others("elsewhere.example/other:2", START) is None


def test_on_behalf_of_others_a_time_that_is_named_counts_too() -> None:
    quiet = after(C.RATE_LIMITED, 1000)
    until = quiet.for_others(IMAGE, START)
    assert until
    assert until >= at(1000)
    assert quiet.for_others(IMAGE, at(999))
