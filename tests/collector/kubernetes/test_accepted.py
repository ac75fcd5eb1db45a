"""The stand-in refuses what the API server refuses: else the collector's tests would pass with calls that no cluster takes."""

from typing import Any

import pytest
from collector.kubernetes import accepted
from collector.kubernetes.accepted import Refused, merged
from collector.kubernetes.standin import ACCESS_REVIEWS, TOKEN_REVIEWS, StandIn

EVENTS = "/api/v1/namespaces/shop/events"
EVENT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "web.1", "namespace": "shop"},
    "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web", "uid": "uid-web"},
    "type": "Warning",
    "reason": "TagNotFound",
    "message": "no such tag",
    "firstTimestamp": "2025-11-22T12:00:00Z",
    "lastTimestamp": "2025-11-22T12:00:00.5+01:00",
    "count": 1,
    "source": {"component": "pullwhy"},
    "reportingComponent": "pullwhy",
}
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "t"}}
ATTRIBUTES = {"verb": "get", "group": "pullwhy", "resource": "findings"}
ACCESS = {
    "apiVersion": "authorization.k8s.io/v1",
    "kind": "SubjectAccessReview",
    "spec": {"user": "jane", "resourceAttributes": ATTRIBUTES},
}


@pytest.mark.parametrize(
    ("method", "sent", "wanted", "status"),
    [
        ("GET", "", "", 0),
        ("POST", "", "application/json", 0),
        ("POST", "application/json; charset=utf-8", "*/*", 0),
        ("POST", "application/merge-patch+json", "", 415),
        ("PATCH", "application/merge-patch+json", "", 0),
        ("PATCH", "application/strategic-merge-patch+json", "", 0),
        ("PATCH", "application/json", "", 415),
        ("PATCH", "", "", 415),
        ("GET", "", "text/html", 406),
    ],
)
def test_media_types(method: str, sent: str, wanted: str, status: int) -> None:
    found = 0
    try:
        accepted.media(method, sent, wanted)
    except Refused as refused:
        found = refused.status
    assert found == status


@pytest.mark.parametrize(
    ("path", "body", "change", "status"),
    [
        (EVENTS, EVENT, {}, 201),
        (EVENTS, EVENT, {"kind": "Evend"}, 400),
        (EVENTS, EVENT, {"apiVersion": "events.k8s.io/v1"}, 400),
        (EVENTS, EVENT, {"mesage": "x"}, 400),
        (EVENTS, EVENT, {"count": "1"}, 400),
        (EVENTS, EVENT, {"count": 2**31}, 400),
        (EVENTS, EVENT, {"firstTimestamp": "2025-11-22 12:00:00Z"}, 400),
        (EVENTS, EVENT, {"lastTimestamp": "2025-11-22T12:00:00"}, 400),
        (EVENTS, EVENT, {"lastTimestamp": 1763812800}, 400),
        (EVENTS, EVENT, {"metadata": {"namespace": "bank"}}, 400),
        (EVENTS, EVENT, {"metadata": {"name": "Web_1"}}, 422),
        (EVENTS, EVENT, {"involvedObject": {"namespace": "bank"}}, 422),
        (EVENTS, EVENT, {"reason": ""}, 422),
        (EVENTS, EVENT, {"reason": "x" * 129}, 422),
        (EVENTS, EVENT, {"message": "é" * 513}, 422),
        (EVENTS, EVENT, {"reportingComponent": None}, 422),
        (f"{EVENTS}x", EVENT, {}, 404),
        (TOKEN_REVIEWS, REVIEW, {}, 201),
        (TOKEN_REVIEWS, REVIEW, {"kind": "TokenReviw"}, 400),
        (TOKEN_REVIEWS, REVIEW, {"apiVersion": "authentication.k8s.io/v1beta1"}, 400),
        (TOKEN_REVIEWS, REVIEW, {"spec": {"token": ""}}, 400),
        (TOKEN_REVIEWS.replace("v1", "v1beta1"), REVIEW, {}, 404),
        (ACCESS_REVIEWS, ACCESS, {}, 201),
        (ACCESS_REVIEWS, ACCESS, {"kind": "LocalSubjectAccessReview"}, 400),
        (ACCESS_REVIEWS, ACCESS, {"spec": {"user": None}}, 422),
        (ACCESS_REVIEWS, ACCESS, {"spec": {"user": None, "groups": ["ops"]}}, 201),
        (ACCESS_REVIEWS, ACCESS, {"spec": {"resourceAttributes": None}}, 400),
        (ACCESS_REVIEWS, ACCESS, {"spec": {"extra": {"scopes": "all"}}}, 400),
    ],
)
def test_what_is_created(api: StandIn, path: str, body: dict[str, Any], change: dict[str, Any], status: int) -> None:
    assert api.answer("POST", path, merged(body, change))[0] == status


def test_a_patch_is_merged_and_what_it_makes_is_looked_at(api: StandIn) -> None:
    assert api.answer("POST", EVENTS, EVENT)[0] == 201
    place = f"{EVENTS}/web.1"
    assert api.answer("PATCH", place, {"source": {"host": "node-a"}})[0] == 200
    assert api.objects[place]["source"] == {"component": "pullwhy", "host": "node-a"}
    for wrong, status in (({"reason": "x" * 129}, 422), ({"metadata": {"name": "other"}}, 400), ({"kind": None}, 400)):
        assert api.answer("PATCH", place, wrong)[0] == status
    assert api.objects[place]["reason"] == "TagNotFound"
