import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from walking.plans import failed, plan_for, told, walked
from walking.server import Answer, Got, Server
from walking.shop import API, CONFIG, LAYER, Shop, descriptor, digest_of, error

from pullwhy.image import parse
from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Credential, Endpoint, WalkPlan
from pullwhy.probe.manifests import ACCEPT, OCI_INDEX, OCI_MANIFEST
from pullwhy.secret import Secret
from pullwhy.trace import AuthResult, BlobResult, HTTPFault, Identity, StageResult, Trace

BIG = b"x" * 200_000
PREFIX = "/v2/team/app"


def ask(
    shop: Shop | Callable[[Got], Answer],
    image: str = "team/app:1",
    change: Callable[[WalkPlan], WalkPlan] = lambda plan: plan,
) -> tuple[Trace, list[Got]]:
    """Walk to one server and return the trace with the requests that came."""
    respond = shop.respond if isinstance(shop, Shop) else shop

    async def go() -> tuple[Trace, list[Got]]:
        async with Server(respond) as server:
            return await walked(change(plan_for(server.port, image))), server.requests

    return asyncio.run(go())


def wanted(*, platform: str = "linux/amd64", layers: tuple[bytes, ...] = (b"layer",)) -> Shop:
    shop = Shop()
    shop.image("team/app", "1", platform, layers)
    return shop


def methods(requests: list[Got]) -> list[str]:
    return [f"{got.method} {got.path.removeprefix(PREFIX).split('/sha256')[0]}" for got in requests]


def test_an_image_is_asked_for_as_containerd_does() -> None:
    shop = Shop()
    shop.index("team/app", "1", "linux/arm64", "linux/amd64")
    trace, requests = ask(shop)
    assert told(trace) == [
        "DNS Passed",
        "Connect Passed",
        "Auth Passed anonymous",
        "Manifest Passed anonymous",
        "Manifest Passed anonymous",
        "Platform Passed anonymous",
        "Manifest Passed anonymous",
        "Blob Passed anonymous",
        "Blob Passed anonymous",
    ]
    assert methods(requests) == ["HEAD /manifests/1", "GET /manifests", "GET /manifests", "GET /blobs", "GET /blobs"]
    assert requests[0].headers["accept"] == ACCEPT
    assert "authorization" not in requests[0].headers
    assert requests[0].headers["user-agent"] == "pullwhy"
    assert trace.requests == 5
    assert trace.complete


def test_one_connection_serves_the_whole_walk() -> None:
    trace, _ = ask(wanted())
    assert [result.stage for result in trace.results].count(Stage.CONNECT) == 1


def test_of_a_large_layer_one_byte_is_read() -> None:
    trace, requests = ask(wanted(layers=(b"small", BIG)))
    assert requests[-1].headers["range"] == "bytes=0-0"
    assert trace.results[-1].http is not None
    assert trace.results[-1].http.received == 1
    assert trace.results[-1].outcome is Outcome.PASSED


def test_the_size_of_an_image_is_told() -> None:
    trace, _ = ask(wanted(layers=(b"small", BIG)))
    sizes = [result.manifest.layers_bytes for result in trace.results if result.manifest is not None]
    assert sizes[-1] > 200_000


def test_blobs_are_left_alone_where_the_plan_says_so() -> None:
    trace, requests = ask(wanted(), change=lambda plan: replace(plan, probe_blobs=False))
    assert not [got for got in requests if "/blobs/" in got.path]
    assert trace.results[-1].outcome is Outcome.SKIPPED


# --- authentication


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


NODE = Credential("robot", Secret("canary"), "/var/lib/kubelet/config.json: registry.test")
GIVEN = replace(NODE, username="me", source="creds.json: registry.test", supplied=True)


class Guarded(Shop):
    """A registry with a token realm of its own: `tokens` maps an Authorization (or none) to the realm's answer."""

    tokens: dict[str, Answer]

    def respond(self, got: Got) -> Answer:
        if got.path == "/token":
            return self.tokens.get(got.headers.get("authorization", ""), error(401, "UNAUTHORIZED"))
        self.challenge = (
            f'Bearer realm="http://{got.headers["host"]}/token",service="reg",scope="repository:team/app:pull"'
        )
        return super().respond(got)


def guarded(tokens: dict[str, Answer], *let_in: str) -> Guarded:
    shop = Guarded(authorization=tuple(f"Bearer {token}" for token in let_in))
    shop.tokens = tokens
    shop.image("team/app", "1")
    return shop


def token(value: str, key: str = "token") -> Answer:
    return Answer(200, {}, json.dumps({key: value, "expires_in": 60}).encode())


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


# --- the manifest


@pytest.mark.parametrize(
    ("answer", "stage", "status", "codes"),
    [
        (error(403, "DENIED"), Stage.AUTH, 403, ("DENIED",)),
        (error(412, "PROJECTPOLICYVIOLATION"), Stage.MANIFEST, 412, ("PROJECTPOLICYVIOLATION",)),
        (error(500, "UNKNOWN"), Stage.MANIFEST, 500, ("UNKNOWN",)),
        (error(503, "UNAVAILABLE"), Stage.MANIFEST, 503, ("UNAVAILABLE",)),
        (error(400, "TAG_INVALID"), Stage.MANIFEST, 400, ("TAG_INVALID",)),
        (error(451), Stage.MANIFEST, 451, ()),
        (Answer(302), Stage.MANIFEST, 302, ()),
    ],
)
def test_a_refusal_is_told_with_the_codes_of_one_get(
    answer: Answer, stage: Stage, status: int, codes: tuple[str, ...]
) -> None:
    trace, requests = ask(Shop(faults={"* /v2/team/app/manifests": answer}))
    result = failed(trace)
    assert result.stage is stage
    assert result.http is not None
    assert (result.http.status, result.http.codes) == (status, codes)
    assert len(requests) <= 2


def test_a_firewall_that_names_the_client_is_told_without_its_text() -> None:
    denied = error(403, "DENIED", message="client with IP '203.0.113.7' is not allowed access")
    trace, _ = ask(Shop(faults={"*": denied}))
    http = failed(trace).http
    assert http is not None
    assert http.names_client_address
    assert "203.0.113.7" not in repr(trace)


def test_a_limit_is_never_asked_about_twice() -> None:
    headers = {"Retry-After": "60", "RateLimit-Remaining": "0;w=21600"}
    trace, requests = ask(Shop(faults={"*": error(429, "TOOMANYREQUESTS", headers=headers)}))
    assert len(requests) == 1
    http = failed(trace).http
    assert http is not None
    assert http.headers is not None
    assert (http.headers["retry-after"], http.headers["ratelimit-remaining"]) == ("60", "0;w=21600")


def test_a_limit_ends_the_walk_for_other_identities_too() -> None:
    shop = guarded({"": token("anon"), basic("robot", "canary"): token("mine")}, "anon", "mine")
    shop.faults = {"HEAD /v2/team/app/manifests": error(429, "TOOMANYREQUESTS")}
    trace, requests = ask(shop, change=lambda plan: replace(plan, credentials=(NODE,)))
    assert len(requests) == 1
    assert failed(trace).stage is Stage.MANIFEST


def test_a_web_page_is_no_registry() -> None:
    page = Answer(200, {"Content-Type": "text/html"}, b"<html>Please log in</html>")
    http = failed(ask(lambda _: page)[0]).http
    assert http is not None
    assert http.html
    assert not http.registry_api


def test_a_head_that_is_not_allowed_becomes_a_get() -> None:
    shop = wanted()
    shop.faults = {"HEAD ": error(405, "UNSUPPORTED")}
    trace, requests = ask(shop)
    assert [got.method for got in requests[:2]] == ["HEAD", "GET"]
    assert trace.results[-1].outcome is Outcome.PASSED


def test_a_head_that_differs_from_its_get_decides() -> None:
    shop = wanted()
    shop.faults = {"HEAD ": error(404, "MANIFEST_UNKNOWN")}
    result = failed(ask(shop)[0])
    assert result.http is not None
    assert result.http.status == 404
    assert "a GET answers 200" in result.detail


def test_an_absent_tag_is_told_with_likely_ones() -> None:
    result = failed(ask(wanted(), "team/app:11")[0])
    assert result.manifest is not None
    assert (result.manifest.tag_listed, result.manifest.similar_tags) == (False, ("1",))


def test_tags_of_private_repositories_are_not_suggested() -> None:
    shop = guarded({basic("robot", "canary"): token("mine")}, "mine")
    shop.image("team/app", "12")
    result = [
        r
        for r in ask(shop, "team/app:11", lambda plan: replace(plan, credentials=(NODE,)))[0].results
        if r.manifest is not None
    ][-1]
    assert result.manifest is not None
    assert (result.manifest.tag_listed, result.manifest.similar_tags) == (False, ())


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        ("application/vnd.example", "unknown manifest type"),
    ],
)
def test_a_manifest_of_a_type_that_no_runtime_takes_is_told_from_the_head(kind: str, why: str) -> None:
    shop = Shop()
    shop.put("team/app", "1", kind, b"{}")
    trace, requests = ask(shop)
    result = failed(trace)
    assert result.manifest is not None
    assert why in result.manifest.unsupported
    assert len(requests) == 1


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"config": 5}', b"[" * 100_000])
def test_a_manifest_that_cannot_be_read_is_unsupported(body: bytes) -> None:
    shop = Shop()
    shop.put("team/app", "1", OCI_MANIFEST, body)
    result = failed(ask(shop)[0])
    assert result.stage is Stage.MANIFEST
    assert result.manifest is not None
    assert result.manifest.unsupported


def test_a_manifest_that_looks_like_a_page_but_has_its_digest_is_no_page() -> None:
    shop = Shop()
    shop.put("team/app", "1", OCI_MANIFEST, b"<html>uploaded by mistake</html>")
    result = failed(ask(shop)[0])
    assert result.manifest is not None
    assert result.manifest.unsupported == "the manifest is not a JSON object"


def test_a_manifest_whose_bytes_are_not_its_digests_is_corrupt() -> None:
    shop = wanted()
    kind, data = shop.manifests["team/app", "1"]
    shop.faults = {f"GET {PREFIX}/manifests/sha256": Answer(200, {"Content-Type": kind}, data.replace(b"2", b"3", 1))}
    result = failed(ask(shop)[0])
    assert result.blob is not None
    assert (result.stage, result.blob.result) == (Stage.BLOB, BlobResult.CORRUPT)


def test_a_digest_of_the_reference_is_what_is_verified() -> None:
    shop = wanted()
    digest = shop.image("team/app", "1")
    trace, _ = ask(shop, f"team/app:ignored@{digest}")
    assert trace.results[-1].outcome is Outcome.PASSED


def test_a_registry_that_tells_no_digest_is_read_by_tag() -> None:
    shop = wanted()
    kind, data = shop.manifests["team/app", "1"]
    shop.faults = {f"* {PREFIX}/manifests/1": Answer(200, {"Content-Type": kind}, data)}
    trace, requests = ask(shop)
    assert "GET /manifests/1" in methods(requests)
    assert trace.results[-1].outcome is Outcome.PASSED


def test_a_manifest_larger_than_any_is_not_read_to_its_end() -> None:
    shop = wanted()
    shop.faults = {f"GET {PREFIX}/manifests": Answer(200, {"Content-Type": OCI_MANIFEST}, b"x" * 5_000_000)}
    result = failed(ask(shop)[0])
    assert result.blob is not None
    assert result.blob.result is BlobResult.CORRUPT


def test_indexes_within_indexes_end() -> None:
    shop = Shop()
    data = b"{}"
    for _ in range(6):
        inner = descriptor(OCI_INDEX, data, platform={"os": "linux", "architecture": "amd64"})
        data = json.dumps({"manifests": [inner]}).encode()
        shop.put("team/app", "1", OCI_INDEX, data)
    result = failed(ask(shop)[0])
    assert result.manifest is not None
    assert "without end" in result.manifest.unsupported


# --- the platform


def test_an_index_without_the_nodes_platform_fails_there() -> None:
    shop = Shop()
    shop.index("team/app", "1", "linux/arm64", "linux/s390x")
    trace, requests = ask(shop)
    result = failed(trace)
    assert result.stage is Stage.PLATFORM
    assert result.platform is not None
    assert (result.platform.wanted, result.platform.available) == ("linux/amd64", ("linux/arm64", "linux/s390x"))
    assert len(requests) == 2


def test_a_single_image_for_another_platform_passes_with_a_remark() -> None:
    trace, _ = ask(wanted(platform="linux/arm64"))
    result = next(r for r in trace.results if r.platform is not None)
    assert result.outcome is Outcome.PASSED
    assert "pull it all the same" in result.detail


@pytest.mark.parametrize(("platform", "outcome"), [("linux/amd64", Outcome.PASSED), ("linux/arm64", Outcome.FAILED)])
def test_an_entry_without_a_platform_is_judged_by_its_config(platform: str, outcome: Outcome) -> None:
    shop = wanted(platform=platform)
    data = shop.manifests["team/app", "1"][1]
    shop.put("team/app", "1", OCI_INDEX, json.dumps({"manifests": [descriptor(OCI_MANIFEST, data)]}).encode())
    results = [r for r in ask(shop)[0].results if r.stage is Stage.PLATFORM]
    assert results[-1].outcome is outcome


# --- content


def content(shop: Shop, fault: Answer, *, path: str = "/blobs") -> StageResult:
    shop.faults = {f"GET {PREFIX}{path}": fault}
    return failed(ask(shop)[0])


@pytest.mark.parametrize(
    ("answer", "result", "status"),
    [
        (error(404, "BLOB_UNKNOWN"), BlobResult.MISSING, 404),
        (error(403, "DENIED"), BlobResult.REFUSED, 403),
        (error(401, "UNAUTHORIZED"), BlobResult.REFUSED, 401),
        (error(500), BlobResult.UNREADABLE, 500),
        (error(429, "TOOMANYREQUESTS"), BlobResult.UNREADABLE, 429),
        (Answer(200, {}, b"something else"), BlobResult.CORRUPT, 200),
        (Answer(200, {}, b""), BlobResult.CORRUPT, 200),
        (Answer(200, {"Content-Type": "text/html"}, b"<html>"), BlobResult.UNREADABLE, 200),
        (Answer(raw=b"", reset=True), BlobResult.UNREADABLE, 0),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), BlobResult.UNREADABLE, 0),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nabc"), BlobResult.CORRUPT, 200),
        (Answer(raw=b"", hold=True), BlobResult.STALLED, 0),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nabc", hold=True), BlobResult.STALLED, 0),
    ],
)
def test_content_that_cannot_be_had_has_its_own_result(answer: Answer, result: BlobResult, status: int) -> None:
    seen = content(wanted(), answer)
    assert seen.stage is Stage.BLOB
    assert seen.blob is not None
    assert seen.blob.result is result
    assert seen.http is not None
    assert seen.http.status == status


def test_a_large_layer_whose_host_tells_another_size_is_corrupt() -> None:
    shop = wanted(layers=(BIG,))
    layer = f"/blobs/{digest_of(BIG)}"
    assert content(shop, Answer(206, {"Content-Range": "bytes 0-0/17"}, b"x"), path=layer).blob is not None
    seen = content(shop, Answer(200, {}, b"x" * 150_000), path=layer)
    assert seen.blob is not None
    assert seen.blob.result is BlobResult.CORRUPT
    assert "150000" in seen.detail


def test_a_child_manifest_that_is_absent_is_missing_content() -> None:
    shop = Shop()
    shop.index("team/app", "1", "linux/amd64")
    child = next(
        digest
        for (_, digest), (kind, _) in shop.manifests.items()
        if kind == OCI_MANIFEST and digest.startswith("sha256")
    )
    seen = content(shop, error(404, "MANIFEST_UNKNOWN"), path=f"/manifests/{child}")
    assert seen.blob is not None
    assert (seen.stage, seen.blob.result) == (Stage.BLOB, BlobResult.MISSING)


def test_a_limit_on_the_get_of_a_manifest_stays_a_limit() -> None:
    seen = content(wanted(), error(429, "TOOMANYREQUESTS"), path="/manifests")
    assert seen.http is not None
    assert (seen.stage, seen.http.status) == (Stage.MANIFEST, 429)


@pytest.mark.parametrize("layers", [[], [descriptor(LAYER, b"")]])
def test_an_image_of_nothing_is_fine(layers: list[dict[str, object]]) -> None:
    shop = wanted()
    config = b'{"os": "linux", "architecture": "amd64"}'
    shop.blobs |= {digest_of(config): config, digest_of(b""): b""}
    shop.put(
        "team/app", "1", OCI_MANIFEST, json.dumps({"config": descriptor(CONFIG, config), "layers": layers}).encode()
    )
    assert ask(shop)[0].results[-1].outcome is Outcome.PASSED


# --- Docker Hub


def hub(plan: WalkPlan) -> WalkPlan:
    endpoint = plan.endpoints[0]
    return replace(plan, image=parse("team/app:1"), endpoints=(Endpoint("http", endpoint.host, endpoint.port),))


def test_docker_hub_is_asked_for_no_manifest() -> None:
    shop = wanted()
    kind, data = shop.manifests["team/app", "1"]
    limits = {
        "ratelimit-limit": "100;w=21600",
        "ratelimit-remaining": "0;w=21600",
        "docker-ratelimit-source": "203.0.113.7",
    }
    described = {"Content-Type": kind, "Docker-Content-Digest": digest_of(data)}
    shop.faults = {"HEAD ": Answer(200, {**described, **limits, **API}, data)}
    trace, requests = ask(shop, change=hub)
    assert [got.method for got in requests] == ["HEAD"]
    manifest = next(r for r in trace.results if r.stage is Stage.MANIFEST)
    assert manifest.http is not None
    assert manifest.http.headers is not None
    assert manifest.http.headers["ratelimit-remaining"] == "0;w=21600"
    assert [r.outcome for r in trace.results if r.stage in (Stage.PLATFORM, Stage.BLOB)] == [Outcome.SKIPPED] * 2


@pytest.mark.parametrize(("status", "gets"), [(403, 1), (500, 1), (429, 0)])
def test_docker_hub_is_asked_for_a_reason_only_where_the_head_has_none(status: int, gets: int) -> None:
    _, requests = ask(Shop(faults={"* /v2/team/app/manifests": error(status, "X")}), change=hub)
    assert [got.method for got in requests].count("GET") == gets


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(raw=b"", hold=True), HTTPFault.TIMED_OUT),
        (Answer(raw=b"", reset=True), HTTPFault.RESET),
        (Answer(raw=b"SSH-2.0\r\n\r\n"), HTTPFault.GARBLED),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000), HTTPFault.TOO_LARGE),
        (Answer(raw=b"\x15\x03\x01\x00\x02\x02\x28"), HTTPFault.TLS_EXPECTED),
        (Answer(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 100), HTTPFault.GARBLED),
    ],
)
def test_an_exchange_that_fails_is_the_manifests_fault(answer: Answer, fault: HTTPFault) -> None:
    result = failed(ask(lambda _: answer)[0])
    assert result.stage is Stage.MANIFEST
    assert result.http is not None
    assert result.http.fault is fault


def test_a_tls_server_that_is_asked_plainly_says_so_in_its_body() -> None:
    trace, _ = ask(lambda _: Answer(400, {}, b"Client sent an HTTP request to an HTTPS server.\n"))
    http = failed(trace).http
    assert http is not None
    assert http.fault is HTTPFault.TLS_EXPECTED
