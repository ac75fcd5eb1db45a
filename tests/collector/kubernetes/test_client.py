"""The client takes what the API says, waits as it is told, gives up in time, and shows nobody a token."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from collector.kubernetes.standin import OWN_TOKEN, Extra, Fault, Group, StandIn
from collector.samples import until

from pullwhy.collector.kubernetes.reviews import ACCESS_REVIEWS, TOKEN_REVIEWS, Action, User, may, who
from pullwhy.collector.settings import KubernetesSettings
from pullwhy.kubernetes.access import NoAccess, find
from pullwhy.kubernetes.client import ATTEMPTS, CONNECTIONS, MAX_ANSWER, APIError, Client
from pullwhy.secret import Secret

Pod = dict[str, Any]
WEB = "/api/v1/namespaces/shop/pods/web"


@contextlib.asynccontextmanager
async def client(api: StandIn, pauses: list[float] | None = None, **options: Any) -> AsyncIterator[Client]:
    async def sleep(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    made = Client(find(api.settings, {}), sleep=sleep, **options)
    try:
        yield made
    finally:
        await made.close()


def get(api: StandIn, pauses: list[float] | None = None, **options: Any) -> Pod:
    async def scenario() -> Pod:
        async with client(api, pauses, **options) as asking:
            return await asking.get(WEB, Pod)

    return asyncio.run(scenario())


def test_it_asks_over_one_connection_for_as_long_as_that_lasts(api: StandIn) -> None:
    async def scenario() -> None:
        async with client(api) as asking:
            for _ in range(3):
                assert (await asking.get(WEB, Pod))["metadata"]["uid"] == "uid-web"
            api.misbehave("pods", Fault(headers={"connection": "close"}))
            await asking.get(WEB, Pod)
            await asking.get(WEB, Pod)
            assert api.connections == 2
            # One that the server closes without a word is replaced at once.
            api.misbehave("pods", Fault())
            assert (await asking.get(WEB, Pod))["metadata"]["uid"] == "uid-web"

    asyncio.run(scenario())


def test_it_waits_as_it_is_told_and_then_succeeds(api: StandIn) -> None:
    pauses: list[float] = []
    api.misbehave("pods", Fault(429, {"retry-after": "3"}), Fault(503), Fault(500))
    assert get(api, pauses)["metadata"]["name"] == "web"
    assert pauses[0] == 3.0
    assert 0 < pauses[1] < pauses[2] + 0.25 < 2.0


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        (Fault(500), 500, "HTTP 500"),
        (Fault(429, {"retry-after": "1"}), 429, "HTTP 429"),
        (Fault(), 0, "EOF"),
        (Fault(hang=1.0), 0, "in"),
        (Fault(200, body=b"<html>no"), 0, "not what the API gives"),
        (Fault(200, body=b'{"a":' * 100_000), 0, "not what the API gives"),
        (Fault(200, body=b" " * (MAX_ANSWER + 9)), 0, "larger than"),
    ],
    ids=["500", "429", "closed", "silent", "garbage", "deep", "oversized"],
)
def test_it_gives_up_in_the_end_and_says_why(api: StandIn, fault: Fault, status: int, told: str) -> None:
    api.misbehave("pods", *[fault] * 2 * ATTEMPTS)
    with pytest.raises(APIError) as error:
        get(api, [], request_seconds=0.3)
    assert error.value.status == status
    assert error.value.passing
    assert told in str(error.value)
    assert WEB in str(error.value)
    assert OWN_TOKEN not in str(error.value)


def test_a_wait_beyond_its_patience_is_an_answer(api: StandIn) -> None:
    api.misbehave("pods", Fault(429, {"retry-after": "600"}))
    with pytest.raises(APIError) as error:
        get(api)
    assert error.value.retry_after == 600
    assert len(api.seen) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refusal_is_not_repeated_and_is_told_in_the_servers_words_without_what_is_secret(
    api: StandIn, status: int
) -> None:
    body = b'{"kind": "Status", "message": "pods is forbidden\\u001b[31m Bearer abcdefgh12345678", "reason": "x"}'
    api.misbehave("pods", Fault(status, body=body))
    with pytest.raises(APIError) as error:
        get(api)
    assert (error.value.status, error.value.passing, len(api.seen)) == (status, False, 1)
    assert "pods is forbidden\\x1b[31m" in str(error.value)
    assert "abcdefgh" not in str(error.value)


def test_a_token_that_was_renewed_is_read_anew(api: StandIn, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with client(api) as asking:
            await asking.get(WEB, Pod)
            api.own_token = "renewed"
            with pytest.raises(APIError, match="401"):
                await asking.get(WEB, Pod)
            (tmp_path / "api/api-token").write_text("renewed")
            await asking.get(WEB, Pod)
            (tmp_path / "api/api-token").write_text("two words\x00")
            with pytest.raises(APIError, match="holds no token"):
                await asking.get(WEB, Pod)

    asyncio.run(scenario())


def test_an_api_with_another_certificate_gets_no_token(api: StandIn, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = StandIn(tmp_path / "other")
    try:
        (tmp_path / "api/api-ca").write_bytes((tmp_path / "other" / "api-ca").read_bytes())
        with pytest.raises(APIError, match="certificate is not trusted"):
            get(api, [])
        assert not api.seen
    finally:
        other.stop()


def test_a_ca_that_changed_is_trusted_with_the_next_connection(
    api: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    other = StandIn(tmp_path / "other")
    ca = tmp_path / "api/api-ca"

    def replace(content: bytes) -> None:
        (tmp_path / "fresh").write_bytes(content)
        (tmp_path / "fresh").replace(ca)

    async def scenario() -> None:
        right = ca.read_bytes()
        replace((tmp_path / "other/api-ca").read_bytes())
        async with client(api, []) as asking:
            with pytest.raises(APIError, match="certificate is not trusted"):
                await asking.get(WEB, Pod)
            replace(right)
            api.misbehave("pods", Fault(headers={"connection": "close"}))
            await asking.get(WEB, Pod)
            replace(b"half a certif")
            api.misbehave("pods", Fault(headers={"connection": "close"}))
            for _ in range(2):
                assert (await asking.get(WEB, Pod))["metadata"]["uid"] == "uid-web"
        assert caplog.text.count("the CA that was read before stays in use") == 1

    try:
        asyncio.run(scenario())
    finally:
        other.stop()


def test_many_questions_at_a_time_wait_for_their_turn(api: StandIn) -> None:
    async def scenario() -> None:
        async with client(api) as asking:
            await asyncio.gather(*(asking.get(WEB, Pod) for _ in range(60)))
        assert api.connections <= 8

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("settings", "environment", "told"),
    [
        (KubernetesSettings(), {}, "KUBERNETES_SERVICE_HOST is not set"),
        (KubernetesSettings(server="http://a:1"), {}, "write https://HOST:PORT"),
        (KubernetesSettings(server="https://u:p@a:1"), {}, "write https://HOST:PORT"),
        (KubernetesSettings(server="https://a:99999"), {}, "write https://HOST:PORT"),
        (KubernetesSettings(ca="/nowhere/ca"), {"KUBERNETES_SERVICE_HOST": "192.0.2.1"}, "/nowhere/ca: No such file"),
        (KubernetesSettings(ca="/etc/hostname"), {"KUBERNETES_SERVICE_HOST": "192.0.2.1"}, "holds no certificate"),
    ],
)
def test_what_is_missing_is_named(settings: KubernetesSettings, environment: dict[str, str], told: str) -> None:
    with pytest.raises(NoAccess, match=told):
        find(settings, environment).context()


def test_the_cluster_of_the_pod_is_found() -> None:
    access = find(KubernetesSettings(), {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"})
    assert (access.host, access.port) == ("fd00::1", 6443)
    assert str(access.token_file) == "/var/run/secrets/kubernetes.io/serviceaccount/token"


def test_reviews_tell_who_and_whether(api: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.token("t-1", "system:serviceaccount:shop:builder", "pullwhy", node_name="node-a", pod_name="p")
    api.token("t-2", "jane")
    api.allowed.add(("jane", "get", "findings", "shop"))

    async def scenario() -> None:
        async with client(api) as asking:
            user = await who(asking, Secret("t-1"), "pullwhy")
            assert user
            assert user.service_account == ("shop", "builder")
            assert user.first("authentication.kubernetes.io/node-name") == "node-a"
            assert await who(asking, Secret("t-1"), "another") is None
            assert await who(asking, Secret("t-2"), "pullwhy") is None
            assert await who(asking, Secret("unknown"), "") is None
            jane = await who(asking, Secret("t-2"), "")
            assert jane
            assert jane.service_account == ("", "")
            assert [
                await may(asking, jane, Action("get", "pullwhy", "findings", namespace))
                for namespace in ("shop", "", "b")
            ] == [True, False, False]

    asyncio.run(scenario())
    assert "t-1" not in caplog.text
    assert OWN_TOKEN not in caplog.text


def test_rights_go_with_everything_that_the_review_of_a_token_told_of_its_user(api: StandIn) -> None:
    api.token("t", "jane", groups=("ops",), pod_name="web-1")
    api.allowed |= {
        ("jane", "get", "findings", "a"),
        (Group("ops"), "get", "findings", "b"),
        (Group("system:authenticated"), "get", "findings", "c"),
        (Extra("authentication.kubernetes.io/pod-name", "web-1"), "get", "findings", "d"),
        (Group("others"), "get", "findings", "e"),
    }

    async def scenario() -> None:
        async with client(api) as asking:
            jane = await who(asking, Secret("t"), "")
            assert jane
            seen = [each for each in "abcde" if await may(asking, jane, Action("get", "pullwhy", "findings", each))]
            assert seen == ["a", "b", "c", "d"]

    asyncio.run(scenario())
    assert {each.body["spec"]["uid"] for each in api.asked("subjectaccessreviews") if each.body} == {"uid-jane"}


def test_what_one_authorizer_denies_is_not_allowed_whatever_another_says(api: StandIn) -> None:
    api.misbehave(ACCESS_REVIEWS, Fault(201, body=b'{"status": {"allowed": true, "denied": true}}'))

    async def scenario() -> None:
        async with client(api) as asking:
            assert not await may(asking, User("jane"), Action("get", "pullwhy", "findings"))

    asyncio.run(scenario())


@pytest.mark.parametrize("audiences", ["null", "[]", '["another"]'])
def test_a_token_that_was_not_accepted_for_our_audience_is_not_believed(api: StandIn, audiences: str) -> None:
    user = '"user": {"username": "jane"}'
    body = f'{{"status": {{"authenticated": true, {user}, "audiences": {audiences}}}}}'.encode()
    api.misbehave(TOKEN_REVIEWS, Fault(201, body=body), Fault(201, body=body))

    async def scenario() -> None:
        async with client(api) as asking:
            assert await who(asking, Secret("t"), "pullwhy") is None
            # The server's own audience is whichever its authenticator stands for.
            assert await who(asking, Secret("t"), "") == User("jane")

    asyncio.run(scenario())


def test_who_waits_for_a_turn_waits_no_longer_than_its_patience(api: StandIn) -> None:
    api.misbehave("pods", *[Fault(503, hang=2.0)] * CONNECTIONS)

    async def scenario() -> None:
        async with client(api, [], patience_seconds=0.2) as asking:
            busy = [asyncio.create_task(asking.get(WEB, Pod)) for _ in range(CONNECTIONS)]
            await until(lambda: len(api.seen) >= CONNECTIONS)
            with pytest.raises(APIError, match=f"{CONNECTIONS} other requests did not end in time") as error:
                await asking.get(WEB, Pod)
            assert error.value.passing
            for each in busy:
                each.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    asyncio.run(scenario())
