"""The error of one pod sync, taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.gotext import quote
from pullwhy.syncerror import SyncFailure, sync_failures, without_back_off

ONE = SyncFailure("StartContainer", "app", "ErrImagePull", 'failed to pull "x": no such host')
TWO = SyncFailure("StartContainer", "side-car", "ImagePullBackOff", 'Back-off pulling image "y:2"')


def written(failure: SyncFailure) -> str:
    return f"failed to {quote(failure.operation)} for {quote(failure.target)} with {failure.reason}: {quote(failure.message)}"


def test_one_failure_stands_alone() -> None:
    assert sync_failures(written(ONE)) == [ONE]


def test_several_stand_in_brackets() -> None:
    assert sync_failures(f"[{written(ONE)}, {written(TWO)}]") == [ONE, TWO]


def test_a_message_cannot_pose_as_another_failure() -> None:
    forged = SyncFailure("StartContainer", "app", "ErrImagePull", written(TWO))
    assert sync_failures(written(forged)) == [forged]


def test_a_cut_message_is_taken_as_far_as_it_goes() -> None:
    assert sync_failures(written(ONE)[:-6]) == [SyncFailure("StartContainer", "app", "ErrImagePull", ONE.message[:-5])]


@pytest.mark.parametrize("error", ["", "network is not ready", "failed to SyncPod: x", 'failed to "A" for "B" with C'])
def test_other_errors_name_no_failure(error: str) -> None:
    assert sync_failures(error) == []


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_message_comes_back(first: str, second: str) -> None:
    failures = [
        SyncFailure("StartContainer", "a", "ErrImagePull", first),
        SyncFailure("StartContainer", "b", "X", second),
    ]
    assert sync_failures(f"[{', '.join(map(written, failures))}]") == failures


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('Back-off pulling image "x": ErrImagePull: pull QPS exceeded', "pull QPS exceeded"),
        ('Back-off pulling image "x"', 'Back-off pulling image "x"'),
        ("pull QPS exceeded", "pull QPS exceeded"),
    ],
)
def test_back_off_is_peeled_off_its_cause(message: str, cause: str) -> None:
    assert without_back_off(message) == cause
