"""What the API server takes of the kinds that the collector sends, and how it refuses the rest.

kubernetes 1.34. Media types: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/negotiation/negotiate.go and handlers/patch.go, PatchResource;
apiVersion and kind: handlers/create.go and handlers/rest.go, transformDecodeError; times: apimachinery/pkg/apis/meta/v1/time.go; what an Event may
hold: pkg/apis/core/validation/events.go, by the rules of events.k8s.io/v1 where core/v1 has none; reviews:
pkg/registry/authentication/tokenreview/storage.go and pkg/apis/authorization/validation/validation.go. Unknown fields are refused as with
fieldValidation=Strict: the server drops them otherwise, with a warning that nobody reads.
"""

import re
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
MAX_NOTE: Final = 1024
MAX_REASON: Final = 128
JSON: Final = "application/json"
PATCHES: Final = ("application/merge-patch+json", "application/strategic-merge-patch+json")
"""Those of which `merged` knows the meaning; of what is no list both mean the same."""

Time = Annotated[str, msgspec.Meta(pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")]
Count = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
T = TypeVar("T")


class Refused(Exception):
    """What the server answers instead."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class _Sent(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Something of which no field is of another name or type."""


class Metadata(_Sent):
    name: str
    namespace: str


class Reference(_Sent):
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    field_path: str = ""


class Source(_Sent):
    component: str = ""
    host: str = ""


class Event(_Sent):
    api_version: Literal["v1"]
    kind: Literal["Event"]
    metadata: Metadata
    involved_object: Reference
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    first_timestamp: Time
    last_timestamp: Time
    count: Count
    source: Source
    reporting_component: str = ""


class TokenSpec(_Sent):
    token: str
    audiences: tuple[str, ...] = ()


class TokenReview(_Sent):
    api_version: Literal["authentication.k8s.io/v1"]
    kind: Literal["TokenReview"]
    spec: TokenSpec


class Attributes(_Sent):
    verb: str
    group: str
    resource: str
    namespace: str = ""


class AccessSpec(_Sent):
    resource_attributes: Attributes
    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class AccessReview(_Sent):
    api_version: Literal["authorization.k8s.io/v1"]
    kind: Literal["SubjectAccessReview"]
    spec: AccessSpec


def media(method: str, content_type: str, accept: str) -> None:
    """Raise Refused where the server does not speak what is sent, or wanted."""
    if accept not in ("", "*/*", JSON):
        raise Refused(406, "NotAcceptable", f"only the following media types are accepted: {JSON}")
    known = PATCHES if method == "PATCH" else ("", JSON)  # only a patch must say what it is
    if method != "GET" and content_type.partition(";")[0] not in known:
        raise Refused(415, "UnsupportedMediaType", f"only the following media types are accepted: {', '.join(known)}")


def decoded(body: Any, kind: type[T]) -> T:
    """Return what was sent; raises Refused."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise Refused(400, "BadRequest", f"{kind.__name__} in the request cannot be handled: {error}") from None


def event(body: Any, namespace: str, name: str) -> None:
    """Raise Refused where an Event cannot be stored under this name."""
    sent = decoded(body, Event)
    if (sent.metadata.namespace, sent.metadata.name) != (namespace, name):
        raise Refused(400, "BadRequest", "the object does not match the name and namespace of the request")
    wrong = {
        "metadata.name: a lowercase RFC 1123 subdomain": not SUBDOMAIN.match(name) or len(name) > 253,
        "involvedObject.namespace: does not match event.namespace": sent.involved_object.namespace != namespace,
        f"reason: can have at most {MAX_REASON} characters": not 0 < len(sent.reason) <= MAX_REASON,
        f"message: can have at most {MAX_NOTE} characters": len(sent.message.encode()) > MAX_NOTE,
        "reportingComponent: Required value": not sent.reporting_component,
    }
    for told, is_so in wrong.items():
        if is_so:
            raise Refused(422, "Invalid", told)


def token_review(body: Any) -> TokenSpec:
    """Return what is asked about a token; raises Refused."""
    spec = decoded(body, TokenReview).spec
    if not spec.token:
        raise Refused(400, "BadRequest", "token is required for TokenReview in authentication")
    return spec


def access_review(body: Any) -> AccessSpec:
    """Return what is asked about somebody's rights; raises Refused."""
    spec = decoded(body, AccessReview).spec
    if not spec.user and not spec.groups:
        raise Refused(422, "Invalid", "spec.user: at least one of user or group must be specified")
    return spec


def merged(known: Any, patch: Any) -> Any:
    """Return `known` with a merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(known) if isinstance(known, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
