"""What an investigation makes of another failure of the same image."""

from datetime import UTC, datetime

import pytest

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.judge import judge
from pullwhy.model import PullFailure, Reason
from pullwhy.node.investigate import Investigation, with_failure

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("held", "sent", "expected"),
    [
        ((), False, False),
        ((), True, True),
        (("https://registry.example",), True, True),
        (("https://registry.example",), False, None),
    ],
)
def test_a_runtime_with_credentials_of_its_own_may_have_sent_them(
    held: tuple[str, ...], sent: bool, expected: bool | None
) -> None:
    found = Investigation(Case(now=NOW), judge(Case(now=NOW)), credentials_held=held)
    failure = PullFailure(NOW, "kubelet.service", Reason.ERR_IMAGE_PULL, "401 Unauthorized", credentials_sent=sent)
    told = with_failure(found, failure).case.failure
    assert told is not None
    assert told.credentials_sent is expected
