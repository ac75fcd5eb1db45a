"""Rate-limit headers of every kind, read and never remembered."""

from datetime import timedelta

import pytest
from diagnose.builders import NOW, UNTIL_AUTH, case, http, manifest, passing, told, trace

from pullwhy.diagnose.judge import judge
from pullwhy.diagnose.remedies.rendering import render
from pullwhy.diagnose.rules.limits import limit_arguments
from pullwhy.model import Answer, CauseId, Stage

IN_AN_HOUR = "2026-11-22T11:00:00Z"
EPOCH_OF_IT = str(int((NOW + timedelta(hours=1)).timestamp()))


def read(**headers: str) -> dict[str, str]:
    return limit_arguments(http(429, headers={name.replace("_", "-"): value for name, value in headers.items()}), NOW)


@pytest.mark.parametrize(
    ("headers", "limit", "remaining"),
    [
        ({"ratelimit_limit": "100;w=21600", "ratelimit_remaining": "0;w=21600"}, "100 in 6 h", "0"),
        ({"ratelimit_limit": "50;w=90", "ratelimit_remaining": "7"}, "50 in 90 s", "7"),
        ({"ratelimit_limit": "60, 60;w=60", "ratelimit_remaining": "12"}, "60 in 1 min", "12"),
        ({"x_ratelimit_limit": "5000", "x_ratelimit_remaining": "0"}, "5000", "0"),
        ({"ratelimit_limit": "many", "ratelimit_remaining": "-1"}, None, None),
        ({"ratelimit_limit": "9" * 300}, "9" * 12, None),
        ({}, None, None),
    ],
)
def test_limit_window_and_rest(headers: dict[str, str], limit: str | None, remaining: str | None) -> None:
    found = read(**headers)
    assert (found.get("limit"), found.get("remaining")) == (limit, remaining)


@pytest.mark.parametrize(
    ("headers", "until"),
    [
        ({"retry_after": "3600"}, IN_AN_HOUR),
        ({"retry_after": "Sun, 22 Nov 2026 11:00:00 GMT"}, IN_AN_HOUR),
        ({"x_retry_after": EPOCH_OF_IT}, IN_AN_HOUR),
        ({"ratelimit_reset": "3600"}, IN_AN_HOUR),
        ({"x_ratelimit_reset": EPOCH_OF_IT}, IN_AN_HOUR),
        ({"retry_after": "60", "ratelimit_reset": "3600"}, "2026-11-22T10:01:00Z"),
        ({"retry_after": "soon", "ratelimit_reset": "3600"}, IN_AN_HOUR),
        ({"retry_after": "99999999999"}, "2026-12-22T10:00:00Z"),
        ({"retry_after": "0"}, None),
        ({"retry_after": "Sun, 22 Nov 2026 09:00:00 GMT"}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "9" * 40}, None),
    ],
)
def test_the_end_of_the_wait(headers: dict[str, str], until: str | None) -> None:
    assert read(**headers).get("until") == until


@pytest.mark.parametrize(
    ("source", "limited", "advice"),
    [
        ("203.0.113.7", "the source address 203.0.113.7", "through this address share it"),
        ("2001:db8::1", "the source address 2001:db8::1", "through this address share it"),
        ("0f1e2d3c-aaaa-bbbb", "the account 0f1e2d3c-aaaa-bbbb", "client of that account"),
        ("", None, "an account of one's own"),
    ],
)
def test_whose_limit_it_is_decides_the_advice(source: str, limited: str | None, advice: str) -> None:
    assert read(docker_ratelimit_source=source).get("limited") == limited
    walk = trace(passing(*UNTIL_AUTH), manifest(429, headers={"docker-ratelimit-source": source}))
    diagnosis = judge(case(walk, told(CauseId.RATE_LIMITED, Stage.MANIFEST)))
    remedy = render(diagnosis.remedy)
    assert advice in remedy.text
    assert bool(remedy.commands) is not (limited or "").startswith("the account")


def test_the_answer_is_told_with_its_own_figures_and_no_others() -> None:
    headers = {"ratelimit-limit": "77;w=7200", "ratelimit-remaining": "0;w=7200", "retry-after": "60"}
    walk = trace(passing(*UNTIL_AUTH), manifest(429, headers=headers))
    diagnosis = judge(case(walk, told(CauseId.RATE_LIMITED, Stage.MANIFEST)))
    assert diagnosis.retryable.answer is Answer.YES
    assert diagnosis.summary == (
        "registry.example answers 429 Too Many Requests; its limit is 77 in 2 h, 0 are left, it asks to wait until 2026-11-22T10:01:00Z"
    )
    assert "77 in 2 h" in render(diagnosis.remedy).text
