"""The catalogue is closed, complete and consistent."""

import string

import pytest

from pullwhy.diagnose.arguments import summarise
from pullwhy.diagnose.catalogue.cause import Cause
from pullwhy.diagnose.catalogue.causes import CATALOGUE, same_fault
from pullwhy.diagnose.remedies.rendering import BUILDERS
from pullwhy.model import Answer, CauseId, Stage


def test_every_cause_is_declared_once() -> None:
    assert set(CATALOGUE) == set(CauseId)
    assert all(cause.id is key for key, cause in CATALOGUE.items())


@pytest.mark.parametrize("cause", CATALOGUE.values(), ids=str)
def test_a_declared_cause_is_complete(cause: Cause) -> None:
    assert cause.title
    assert cause.why
    assert cause.remedy in BUILDERS
    assert cause.id not in cause.explains
    assert not cause.title.endswith(".")


def test_every_remedy_belongs_to_a_cause() -> None:
    assert set(BUILDERS) == {cause.remedy for cause in CATALOGUE.values()}


@pytest.mark.parametrize("cause", CATALOGUE.values(), ids=str)
def test_a_summary_reads_without_any_argument(cause: Cause) -> None:
    text = summarise(cause.summary, {})
    assert "{" not in text
    assert text.strip()
    assert "  " not in text


def test_summary_values_are_no_templates() -> None:
    assert summarise("{image}", {"image": "{host.__class__}"}) == "{host.__class__}"


def test_placeholders_are_plain_names() -> None:
    for cause in CATALOGUE.values():
        names = [name for _, name, _, _ in string.Formatter().parse(cause.summary) if name is not None]
        assert all(name.isidentifier() for name in names), cause.id


@pytest.mark.parametrize(
    ("cause", "stage", "answer"),
    [
        (CauseId.TAG_NOT_FOUND, Stage.MANIFEST, Answer.NO),
        (CauseId.RATE_LIMITED, Stage.MANIFEST, Answer.YES),
        (CauseId.CONNECTION_RESET, Stage.CONNECT, Answer.MAYBE),
        (CauseId.CERTIFICATE_NOT_YET_VALID, Stage.TLS, Answer.MAYBE),
        (CauseId.DISK_FULL, Stage.STORAGE, Answer.MAYBE),
        (CauseId.TRANSIENT, Stage.RUNTIME, Answer.YES),
    ],
)
def test_stage_and_retryable_follow_the_catalogue(cause: CauseId, stage: Stage, answer: Answer) -> None:
    assert CATALOGUE[cause].stage is stage
    assert CATALOGUE[cause].retryable is answer


def test_a_cause_of_one_stage_keeps_it_and_others_follow_the_request() -> None:
    assert CATALOGUE[CauseId.CERTIFICATE_UNTRUSTED].stage_for(Stage.BLOB) is Stage.TLS
    assert CATALOGUE[CauseId.RATE_LIMITED].stage_for(Stage.BLOB) is Stage.BLOB
    assert CATALOGUE[CauseId.UNDETERMINED].stage_for(Stage.DNS) is Stage.DNS


@pytest.mark.parametrize(
    ("observed", "told", "alternatives", "same"),
    [
        (CauseId.TAG_NOT_FOUND, CauseId.TAG_NOT_FOUND, (), True),
        (CauseId.NOT_A_REGISTRY, CauseId.TAG_NOT_FOUND, (), True),
        (CauseId.CERTIFICATE_CHAIN_INCOMPLETE, CauseId.CERTIFICATE_UNTRUSTED, (), True),
        (CauseId.CONNECTION_TIMED_OUT, CauseId.CONNECTION_REFUSED, (), True),
        (CauseId.PLATFORM_NOT_AVAILABLE, CauseId.TAG_NOT_FOUND, (CauseId.PLATFORM_NOT_AVAILABLE,), True),
        (CauseId.TAG_NOT_FOUND, CauseId.NOT_A_REGISTRY, (), False),
        (CauseId.DNS_NAME_NOT_FOUND, CauseId.RATE_LIMITED, (), False),
        (CauseId.CONNECTION_REFUSED, CauseId.MIRROR_FAILED, (CauseId.CONNECTION_REFUSED,), True),
        (CauseId.CONNECTION_TIMED_OUT, CauseId.MIRROR_FAILED, (CauseId.CONNECTION_REFUSED,), True),
        (CauseId.RUNTIME_CONFIG_IGNORED, CauseId.MIRROR_FAILED, (CauseId.CERTIFICATE_UNTRUSTED,), True),
        (CauseId.DISK_FULL, CauseId.MIRROR_FAILED, (CauseId.CONNECTION_REFUSED,), False),
        (CauseId.CONNECTION_REFUSED, CauseId.MIRROR_FAILED, (), False),
    ],
)
def test_what_was_seen_and_told_can_be_one_fault(
    observed: CauseId, told: CauseId, alternatives: tuple[CauseId, ...], same: bool
) -> None:
    assert same_fault(observed, told, alternatives) is same
