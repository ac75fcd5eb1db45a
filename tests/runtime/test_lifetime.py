"""When credentials end by their own word, and that nothing of them is told."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullwhy.runtime.kubelet.lifetime import MAX_TOKEN, Lifetime, lifetime
from pullwhy.secret import Secret

END = datetime(2026, 11, 22, 9, tzinfo=UTC)


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def jwt(**claims: object) -> str:
    return f"{encoded({'alg': 'none'})}.{encoded({'sub': 'canary', **claims})}.c2lnbmF0dXJl"


def ecr(expiration: object) -> str:
    document = {"payload": "canary+/" * 9, "datakey": "x", "version": "2", "type": "DATA_KEY", "expiration": expiration}
    return base64.b64encode(json.dumps(document).encode()).decode()


@pytest.mark.parametrize(
    ("username", "password", "kind", "expires"),
    [
        ("anybody", jwt(exp=END.timestamp()), "JSON web token", END),
        ("gitlab-ci-token", jwt(exp=END.timestamp()), "GitLab CI job", END),
        ("AWS", ecr(int(END.timestamp())), "Amazon ECR", END),
        ("AWS", "not base64", "12 hours", None),
        ("oauth2accesstoken", "ya29.canary", "about an hour", None),
        ("_json_key", '{"private_key": "canary"}', "until it is revoked", None),
        ("anybody", "plain", "", None),
        ("anybody", "a.b.c", "", None),
        ("anybody", jwt(), "", None),
        ("anybody", jwt(exp="soon"), "", None),
        ("anybody", jwt(exp=True), "", None),
        ("anybody", jwt(exp=1e300), "", None),
        ("anybody", jwt(exp=-5), "", None),
        ("anybody", f"a.{'A' * MAX_TOKEN}.c", "", None),
        ("anybody", f"a.{encoded([])}.c", "", None),
    ],
)
def test_a_credential_says_when_it_ends(username: str, password: str, kind: str, expires: datetime | None) -> None:
    found = lifetime(username, Secret(password))
    assert kind in found.kind
    assert found.expires == expires
    assert "canary" not in repr(found)


@given(st.text() | st.text("aA0.=-_+/", max_size=60).map(lambda text: f"x.{text}.y"), st.sampled_from(["AWS", "u"]))
def test_any_password_is_borne(password: str, username: str) -> None:
    assert isinstance(lifetime(username, Secret(password)), Lifetime)


@given(st.recursive(st.none() | st.floats() | st.integers(), lambda inner: st.dictionaries(st.just("exp"), inner)))
def test_any_end_is_borne(value: object) -> None:
    try:
        token = jwt(exp=value)
    except ValueError:
        return
    lifetime("u", Secret(token))
