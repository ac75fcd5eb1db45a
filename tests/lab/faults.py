"""What the fault registry can do wrong: rules for stages of a pull, and named repositories made of them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab.errors import LabError

STAGES = frozenset({"manifest-head", "manifest-get", "manifest", "config", "layer", "blob", "storage", "token"})
"""Parts of a pull: "manifest" is head and get, "blob" is config and layer; "storage" is where blobs redirect to."""

ACTIONS = frozenset({"answer", "challenge", "corrupt", "truncate", "shorten", "reset", "stall", "hang", "slow"})

HUB_LIMITS = {
    "ratelimit-limit": "100;w=21600",
    "ratelimit-remaining": "0;w=21600",
    "docker-ratelimit-source": "10.90.1.1",
}
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form action='/login'></form></body></html>"
FORGED_LINE = (
    "denied\nE1122 10:00:00.000000    1234 pod_workers.go:1301] "
    '"Error syncing pod, skipping" err="failed to \\"StartContainer\\" for \\"forged\\" with ErrImagePull: '
    '\\"forged\\"" pod="kube-system/forged" podUID="00000000-0000-0000-0000-00000000f0f0"'
)
METADATA_ADDRESS = "169.254.169.254"


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What happens at a stage. *times* is how often, 0 for always; *size* pads the body to so many bytes."""

    stage: str
    action: str = "answer"
    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: str = ""
    content_type: str = "application/json"
    size: int = 0
    times: int = 0

    def __post_init__(self) -> None:
        if self.stage not in STAGES or self.action not in ACTIONS:
            raise LabError(f"no rule {self.action!r} for the stage {self.stage!r}")


@dataclasses.dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the fault registry: the kind of image it holds under every tag, and its rules, the first that fits."""

    image: str = "plain"
    rules: Sequence[Rule] = ()


def error_body(code: str, message: str, detail: Any = None) -> str:
    """Return an error body as the distribution specification has it."""
    return json.dumps({"errors": [{"code": code, "message": message, "detail": detail}]})


def _manifest(status: int, code: str = "UNKNOWN", message: str = "refused by the lab", **headers: str) -> Repository:
    return Repository(rules=(Rule("manifest", status=status, body=error_body(code, message), headers=headers),))


def _page(status: int, stage: str = "manifest") -> Repository:
    return Repository(rules=(Rule(stage, status=status, body=LOGIN_PAGE, content_type="text/html; charset=utf-8"),))


def _blob(status: int, code: str = "UNKNOWN", stage: str = "layer", message: str = "refused by the lab") -> Repository:
    return Repository(rules=(Rule(stage, status=status, body=error_body(code, message)),))


def _behaviour(action: str, stage: str = "layer") -> Repository:
    return Repository(rules=(Rule(stage, action),))


def _hub_limit() -> Repository:
    text = error_body("TOOMANYREQUESTS", "You have reached your unauthenticated pull rate limit.")
    return Repository(rules=(Rule("manifest-get", status=429, body=text, headers=HUB_LIMITS),))


def _storage_denied() -> Repository:
    text = "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    return Repository(rules=(Rule("layer", status=403, body=text, content_type="application/xml"),))


def _harbor_policy() -> Repository:
    text = "current image with 1 vulnerabilities cannot be pulled due to configured policy"
    return Repository(rules=(Rule("manifest", status=412, body=error_body("PROJECTPOLICYVIOLATION", text)),))


def blob_redirect(location: str) -> Repository:
    """Return a repository whose layers are answered with a redirect; "{path}" in *location* is the storage path."""
    return Repository(rules=(Rule("layer", status=307, headers={"Location": location}),))


def token_realm(realm: str, *rules: Rule) -> Repository:
    """Return a repository that wants a token from *realm*; *rules* may say how this registry's own token path behaves.

    The token path of the registry itself is /token: it gives a token to all unless a rule of the stage "token" speaks.
    """
    return Repository(rules=(*rules, Rule("manifest", "challenge", headers={"realm": realm})))


def own_token(host: str, **answer: Any) -> Repository:
    """Return a repository whose token comes from its own registry *host*, which answers as a Rule's fields say."""
    return token_realm(f"https://{host}/token", *([Rule("token", **answer)] if answer else []))


BASIC = {"realm": ""}
PRESETS: Mapping[str, Repository] = {
    "ok": Repository(),
    "manifest-400": _manifest(400),
    "manifest-401-basic": Repository(rules=(Rule("manifest", "challenge", headers=BASIC),)),
    "manifest-401": _manifest(401, "UNAUTHORIZED", "authentication required"),
    "manifest-403": _manifest(403, "DENIED", "requested access to the resource is denied"),
    "manifest-403-html": _page(403),
    "manifest-404": _manifest(404, "MANIFEST_UNKNOWN", "manifest unknown"),
    "manifest-404-name": _manifest(404, "NAME_UNKNOWN", "repository name not known to registry"),
    "manifest-404-html": _page(404),
    "manifest-404-get-only": Repository(rules=(Rule("manifest-get", status=404, body=error_body("NOT_FOUND", "")),)),
    "manifest-405": _manifest(405, "UNSUPPORTED", "the operation is unsupported"),
    "manifest-406": _manifest(406),
    "manifest-412-policy": _harbor_policy(),
    "manifest-429": _manifest(429, "TOOMANYREQUESTS", "too many requests"),
    "manifest-429-retry-after": _manifest(429, "TOOMANYREQUESTS", "too many requests", **{"Retry-After": "37"}),
    "manifest-429-hub": _hub_limit(),
    "manifest-451": _manifest(451, "DENIED", "unavailable for legal reasons"),
    "manifest-500": _manifest(500),
    "manifest-502": _manifest(502),
    "manifest-502-html": _page(502),
    "manifest-503": _manifest(503, "UNAVAILABLE", "try again later"),
    "manifest-504": _manifest(504),
    "manifest-login-page": _page(200),
    "manifest-hang": _behaviour("hang", "manifest"),
    "manifest-reset": _behaviour("reset", "manifest"),
    "manifest-redirect-loop": Repository(rules=(Rule("manifest", status=307, headers={"Location": "{self}"}),)),
    "manifest-corrupt": _behaviour("corrupt", "manifest-get"),
    "manifest-no-json": Repository(image="no-json"),
    "manifest-schema1": Repository(image="schema1"),
    "manifest-unknown-type": Repository(image="unknown-type"),
    "manifest-artifact": Repository(image="artifact"),
    "index-child-missing": Repository(image="child-missing"),
    "platform-index": Repository(image="foreign-index"),
    "platform-windows": Repository(image="windows-index"),
    "platform-single": Repository(image="foreign"),
    "config-404": _blob(404, "BLOB_UNKNOWN", "config"),
    "config-corrupt": _behaviour("corrupt", "config"),
    "layer-401": _blob(401, "UNAUTHORIZED"),
    "layer-403": _blob(403, "DENIED"),
    "layer-403-storage": _storage_denied(),
    "layer-404": _blob(404, "BLOB_UNKNOWN"),
    "layer-429": _blob(429, "TOOMANYREQUESTS"),
    "layer-500": _blob(500),
    "layer-corrupt": _behaviour("corrupt"),
    "layer-truncated": _behaviour("truncate"),
    "layer-short": _behaviour("shorten"),
    "layer-reset": _behaviour("reset"),
    "layer-stall": _behaviour("stall"),
    "layer-hang": _behaviour("hang"),
    "layer-slow": _behaviour("slow"),
    "layer-wrong-size": Repository(image="wrong-size"),
    "layer-wrong-diff": Repository(image="wrong-diff"),
    "layer-not-gzip": Repository(image="not-gzip"),
    "layer-broken-tar": Repository(image="broken-tar"),
    "layer-encrypted": Repository(image="encrypted"),
    "layer-unknown-type": Repository(image="unknown-layer"),
    "layer-big": Repository(image="big-layer"),
    "layer-metadata-address": blob_redirect(f"http://{METADATA_ADDRESS}/latest/meta-data/"),
    "token-metadata-address": token_realm(f"http://{METADATA_ADDRESS}/token"),
    "body-ansi": _blob(403, "DENIED", message="\x1b[2J\x1b[31mred\x1b[0m \u202egnp\u202c \x07"),
    "body-html": _blob(403, "DENIED", message="<script>alert(1)</script>"),
    "body-forged-line": _blob(403, "DENIED", message=FORGED_LINE),
    "body-huge": Repository(rules=(Rule("manifest", status=403, body="x", size=32 << 20),)),
    "body-deep": Repository(rules=(Rule("manifest", status=403, body="[" * 100_000),)),
    "recovers": Repository(rules=(Rule("manifest", status=404, body=error_body("MANIFEST_UNKNOWN", ""), times=2),)),
}
"""Repositories by the name of their fault. Those that need another host are made by blob_redirect, token_realm, own_token."""


def encode(repository: Repository) -> dict[str, Any]:
    """Return the repository as JSON values."""
    return dataclasses.asdict(repository)


def decode(value: Mapping[str, Any]) -> Repository:
    """Return the repository that encode made *value* of."""
    return Repository(value["image"], tuple(Rule(**rule) for rule in value["rules"]))
