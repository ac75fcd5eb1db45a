"""As whom a registry is asked, and what its refusals tell."""

from dataclasses import replace

import pytest
from walking.asking import NODE, ask, basic, guarded, token
from walking.plans import failed
from walking.server import Answer, Got
from walking.shop import API, Shop, error

from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import WalkPlan
from pullwhy.secret import Secret
from pullwhy.trace import AuthResult, Identity, Trace

GIVEN = replace(NODE, username="me", source="creds.json: registry.test", supplied=True)


def auths(trace: Trace) -> list[tuple[Identity, Outcome, AuthResult]]:
    return [(r.identity, r.outcome, r.auth.result) for r in trace.results if r.auth is not None]


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_an_anonymous_token_opens_a_public_image(key: str) -> None:
    trace, requests = ask(guarded({"": token("anon", key)}, "anon"))
    assert auths(trace) == [(Identity.ANONYMOUS, Outcome.PASSED, AuthResult.TOKEN_GRANTED)]
    asked = next(got for got in requests if got.path == "/token")
    assert asked.query == "service=reg&scope=repository:team/app:pull"
    assert "authorization" not in asked.headers
    assert trace.results[-1].outcome is Outcome.PASSED


def test_the_nodes_credentials_are_tried_after_the_anonymous_refusal() -> None:
    shop = guarded({basic("robot", "canary"): token("mine")}, "mine")
    trace, _ = ask(shop, change=lambda plan: replace(plan, credentials=(NODE,)))
    assert auths(trace) == [
        (Identity.ANONYMOUS, Outcome.FAILED, AuthResult.REFUSED),
        (Identity.NODE, Outcome.PASSED, AuthResult.TOKEN_GRANTED),
    ]
    assert trace.results[-1].identity is Identity.NODE
    assert trace.results[-1].outcome is Outcome.PASSED
    granted = next(r.auth for r in trace.results if r.identity is Identity.NODE and r.auth is not None)
    assert granted.credentials_source == NODE.source
    assert "canary" not in repr(trace)


def test_refused_credentials_are_told_though_the_image_is_public() -> None:
    trace, _ = ask(guarded({"": token("anon")}, "anon"), change=lambda plan: replace(plan, credentials=(GIVEN,)))
    assert auths(trace)[-1] == (Identity.SUPPLIED, Outcome.FAILED, AuthResult.REFUSED)
    assert any(r.stage is Stage.BLOB and r.outcome is Outcome.PASSED for r in trace.results)
    assert trace.results[-1].auth is not None


def test_a_token_without_the_right_is_refused_with_the_challenges_error() -> None:
    shop = guarded({"": token("weak")})
    respond = shop.respond

    def insufficient(got: Got) -> Answer:
        answer = respond(got)
        if got.headers.get("authorization") == "Bearer weak":
            challenge = answer.headers["WWW-Authenticate"] + ',error="insufficient_scope"'
            return replace(answer, headers={**answer.headers, "WWW-Authenticate": challenge})
        return answer

    trace, _ = ask(insufficient)
    result = failed(trace)
    assert result.auth is not None
    assert result.http is not None
    assert (result.auth.result, result.auth.error) == (AuthResult.REFUSED, "insufficient_scope")
    assert (result.http.status, result.http.codes) == (401, ("UNAUTHORIZED",))


@pytest.mark.parametrize("status", [401, 403])
def test_a_realm_that_refuses_is_the_registrys_own_answer(status: int) -> None:
    result = failed(ask(guarded({"": error(status, "DENIED")}))[0])
    assert result.auth is not None
    assert (result.auth.result, result.via) == (AuthResult.REFUSED, None)
    assert result.http is not None
    assert result.http.status == status


def test_a_token_service_that_limits_the_rate_is_not_asked_again_as_somebody_else() -> None:
    def respond(got: Got) -> Answer:
        if got.path == "/token":
            return Answer(429, {"Retry-After": "60"})
        return Answer(401, {**API, "WWW-Authenticate": f'Bearer realm="http://{got.headers["host"]}/token"'})

    trace, requests = ask(respond, change=lambda plan: replace(plan, credentials=(NODE,)))
    assert [got.path for got in requests].count("/token") == 1
    http = failed(trace).http
    assert http is not None
    assert (http.status, http.headers) == (429, {"retry-after": "60"})


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(200, {"Content-Type": "text/html"}, b"<html>login</html>"),
        Answer(200, {}, b"{}"),
        Answer(200, {}, b'{"token": 5}'),
        Answer(200, {}, b'{"token": "two\\r\\nX-Evil: lines"}'),
        Answer(200, {}, b'{"token": "' + b"x" * 200_000 + b'"}'),
        Answer(200, {}, b"[" * 50_000),
        Answer(raw=b"rubbish"),
    ],
)
def test_a_realm_that_gives_no_token_is_unusable_and_named(answer: Answer) -> None:
    result = failed(ask(guarded({"": answer}))[0])
    assert result.auth is not None
    assert (result.auth.result, result.via) == (AuthResult.UNUSABLE_CHALLENGE, Via.TOKEN_HOST)
    assert result.http is not None


def test_a_basic_challenge_needs_credentials() -> None:
    shop = Shop(challenge='Basic realm="reg"', authorization=(basic("robot", "canary"),))
    shop.image("team/app", "1")
    trace, _ = ask(shop)
    assert auths(trace) == [(Identity.ANONYMOUS, Outcome.FAILED, AuthResult.NO_CREDENTIALS)]
    trace, _ = ask(shop, change=lambda plan: replace(plan, credentials=(NODE,)))
    assert auths(trace)[-1] == (Identity.NODE, Outcome.PASSED, AuthResult.TOKEN_GRANTED)
    assert trace.results[-1].outcome is Outcome.PASSED
    wrong = replace(NODE, password=Secret("canary-wrong"))
    trace, _ = ask(shop, change=lambda plan: replace(plan, credentials=(wrong,)))
    assert auths(trace)[-1] == (Identity.NODE, Outcome.FAILED, AuthResult.REFUSED)
    assert "canary" not in repr(trace)


def test_credentials_never_go_to_a_mirror() -> None:
    shop = Shop(challenge='Basic realm="reg"')

    def mirrored(plan: WalkPlan) -> WalkPlan:
        endpoint = replace(plan.endpoints[0], is_mirror=True)
        return replace(plan, endpoints=(endpoint,), credentials=(NODE,))

    trace, requests = ask(shop, change=mirrored)
    assert not [got for got in requests if "authorization" in got.headers]
    assert [identity for identity, _, _ in auths(trace)] == [Identity.ANONYMOUS]


def test_a_401_without_a_challenge_cannot_be_met() -> None:
    result = failed(ask(Shop(faults={"*": error(401, "UNAUTHORIZED")}))[0])
    assert result.auth is not None
    assert result.auth.result is AuthResult.UNUSABLE_CHALLENGE


def test_the_endpoints_own_headers_go_to_it_alone() -> None:
    def add(plan: WalkPlan) -> WalkPlan:
        endpoint = replace(plan.endpoints[0], headers=(("X-Key", Secret("canary")),))
        return replace(plan, endpoints=(endpoint,))

    shop = guarded({"": token("anon")}, "anon")
    trace, requests = ask(shop, change=add)
    assert all(got.headers.get("x-key") == "canary" for got in requests if got.path != "/token")
    assert "canary" not in repr(trace)
