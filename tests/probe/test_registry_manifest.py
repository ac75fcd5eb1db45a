"""What a registry's answers about a manifest tell."""

import json
from dataclasses import replace

import pytest
from walking.asking import NODE, PREFIX, ask, basic, guarded, methods, token, wanted
from walking.plans import failed
from walking.server import Answer
from walking.shop import Shop, descriptor, error

from pullwhy.model import Outcome, Stage
from pullwhy.probe.manifests import OCI_INDEX, OCI_MANIFEST
from pullwhy.trace import BlobResult


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
