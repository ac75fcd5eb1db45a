"""Whether an image fits the node's platform, and whether its content can be had."""

import json

import pytest
from walking.asking import BIG, PREFIX, ask, wanted
from walking.plans import failed
from walking.server import Answer
from walking.shop import CONFIG, LAYER, Shop, descriptor, digest_of, error

from pullwhy.model import Outcome, Stage
from pullwhy.probe.manifests import OCI_INDEX, OCI_MANIFEST
from pullwhy.trace import BlobResult, StageResult


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
