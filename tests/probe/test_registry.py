from dataclasses import replace

import pytest
from walking.asking import BIG, ask, methods, wanted
from walking.plans import failed, told
from walking.server import Answer
from walking.shop import API, Shop, digest_of, error

from pullwhy.image import parse
from pullwhy.model import Outcome, Stage
from pullwhy.plan import Endpoint, WalkPlan
from pullwhy.probe.manifests import ACCEPT
from pullwhy.trace import HTTPFault


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
