"""Classification of what a registry answered: HTTP status, registry error codes and the words around them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from pullwhy.diagnose.classify.request import Kind, Request
from pullwhy.diagnose.classify.rule import Rule, rule
from pullwhy.model import CauseId as C
from pullwhy.model import Stage

# Words that tell more than the status beside them.
TELLING: Final[tuple[Rule, ...]] = (
    rule(
        "rate limit",
        C.RATE_LIMITED,
        sure=r"(?i)toomanyrequests|pull rate limit",
        likely=r"(?i)too many requests|rate exceeded|rate.?limit(?:ed| exceeded| reached)|Throttling|quota exceeded",
    ),
    rule(
        "source address",
        C.SOURCE_DENIED,
        sure=r"client with IP \S{1,100} is not allowed",
        likely=r"(?i)is not allowed access|IP (?:address )?\S{1,60} is not (?:allowed|permitted|authorized)|not (?:in|on) the (?:IP )?allow ?list"
        r"|vpc endpoint policy|VpcServiceControls|VPC Service Controls",
    ),
    rule(
        "registry's policy",
        C.BLOCKED_BY_POLICY,
        sure=r"PROJECTPOLICYVIOLATION",
        likely=r"(?i)quarantin|current image[^\n]{0,60}vulnerabilit|due to configured policy|blocked by (?:policy|xray|an? )|violates? [^\n]{0,40}policy",
    ),
    rule(
        "credentials refused",
        C.CREDENTIALS_REJECTED,
        C.ACCESS_DENIED_OR_NOT_FOUND,
        sure=r"unable to retrieve auth token|invalid username/password",
        likely=r"(?i)incorrect username or password|token[^\n:]{0,40} (?:expired|invalid|revoked)|(?:expired|invalid) (?:\w{1,20} )?token"
        r"|login credentials are not valid|(?:invalid|wrong|bad) credentials|please log ?in|password authentication (?:failed|is not)"
        r"|malformed (?:token|jwt)|account (?:is )?(?:disabled|locked|suspended)",
        stage=Stage.AUTH,
    ),
    rule(
        "no credentials at hand",
        C.CREDENTIALS_MISSING,
        C.ACCESS_DENIED_OR_NOT_FOUND,
        C.CREDENTIALS_REJECTED,
        sure=r"no basic auth credentials",
        likely=r"no (?:auth|credentials?) (?:found|configured|available|provided|for)|Unauthenticated request"
        r"|[Aa]nonymous (?:access|pull)s? (?:is |are )?(?:not|disabled|denied)",
        stage=Stage.AUTH,
    ),
    rule(
        "a page in place of a token",
        C.NOT_A_REGISTRY,
        C.PROXY_FAILED,
        sure=r"unable to decode token response",
        likely=r"decod\w{1,4} token[^\n]{0,60}invalid character",
        stage=Stage.AUTH,
    ),
    rule(
        # The words of moby (distribution/errors.go) and of containerd's resolver.
        "denied or absent",
        C.ACCESS_DENIED_OR_NOT_FOUND,
        C.CREDENTIALS_MISSING,
        C.CREDENTIALS_REJECTED,
        C.REPOSITORY_NOT_FOUND,
        sure=r"pull access denied|does not exist or no pull access|requested access to the resource is denied|may require 'docker login'",
        likely=r"insufficient_scope|\(or (?:it|the \w{1,20}) may not exist\)|verify that it exists and you have permission"
        r"|no credentials on this request",
        stage=Stage.AUTH,
    ),
)

# distribution-spec 1.1, Error Codes, as code or as the words that registries and clients print for it
CODES: Final[tuple[Rule, ...]] = (
    rule(
        "name unknown",
        C.REPOSITORY_NOT_FOUND,
        C.ACCESS_DENIED_OR_NOT_FOUND,
        sure=r"NAME_UNKNOWN|\bname unknown|repository name not known|repository with name \S{1,300} does not exist",
        likely=r"repository \S{1,300} not found|project \S{1,200} not found|no such repository",
        stage=Stage.MANIFEST,
    ),
    rule(
        "blob unknown",
        C.BLOB_UNAVAILABLE,
        sure=r"BLOB_UNKNOWN|\bblob unknown|unknown blob|could not fetch content descriptor",
        likely=r"BlobNotFound|NoSuchKey",
        stage=Stage.BLOB,
    ),
    rule(
        "manifest unknown",
        C.TAG_NOT_FOUND,
        C.REPOSITORY_NOT_FOUND,
        sure=r"MANIFEST_UNKNOWN|manifest unknown|manifest for \S{1,400} not found|manifest is not known",
        likely=r"(?i)manifest (?:\S{1,400} )?not found|unknown (?:manifest|tag)|tag \S{1,200} (?:was )?(?:not found|does not exist)|no such image"
        r"|(?:image|artifact) (?:\S{1,300} )?not found|http\.StatusNotFound",
        stage=Stage.MANIFEST,
    ),
    rule(
        # containerd prints the whole reference, then errdefs' word
        "reference not found",
        C.TAG_NOT_FOUND,
        C.REPOSITORY_NOT_FOUND,
        likely=r"(?:@ref|failed to resolve (?:reference \"@ref\"|image|ref[^\n]{0,300})): (?:\S{1,500}: )?not found|content at @url not found",
        stage=Stage.MANIFEST,
    ),
    rule(
        "unauthorized",
        C.CREDENTIALS_MISSING,
        C.CREDENTIALS_REJECTED,
        C.ACCESS_DENIED_OR_NOT_FOUND,
        sure=r"unauthorized: authentication required",
        likely=r"(?i)unauthorized(?![\w-])|authentication (?:is )?required|not logged in|authorization (?:failed|required)|access token required",
        stage=Stage.AUTH,
    ),
    rule(
        "denied",
        C.ACCESS_DENIED_OR_NOT_FOUND,
        C.CREDENTIALS_REJECTED,
        C.CREDENTIALS_MISSING,
        C.SOURCE_DENIED,
        likely=r"(?i)\bdenied(?![\w-])|forbidden(?![\w-])|not authorized to perform|insufficient permissions",
        stage=Stage.AUTH,
    ),
    rule(
        "server's fault",
        C.REGISTRY_SERVER_ERROR,
        likely=r"(?i)received unexpected HTTP status|internal server error|bad gateway|service unavailable|gateway time-?out"
        r"|origin connection time-?out|registry is (?:unavailable|read.only|in maintenance)|stopped after \d{1,3} redirects"
        r"|server error|unexpected http code",
    ),
    rule(
        "a page",
        C.NOT_A_REGISTRY,
        C.REGISTRY_SERVER_ERROR,
        likely=r"(?i)<!doctype html|<html|invalid character '<' looking for",
    ),
)

# What is left of an authorization that failed, where the text was cut before it told why.
CUT: Final[tuple[Rule, ...]] = (
    rule(
        "anonymous token",
        C.CREDENTIALS_MISSING,
        C.CREDENTIALS_REJECTED,
        likely=r"fetch anonymous tok",
        stage=Stage.AUTH,
    ),
    rule(
        "token with credentials",
        C.CREDENTIALS_REJECTED,
        C.CREDENTIALS_MISSING,
        likely=r"fetch oauth tok|failed to authorize",
        stage=Stage.AUTH,
    ),
)

_STATUS: Final = re.compile(
    r"(?:unexpected (?:http )?(?:response )?status(?: code)?(?: from [A-Z]{3,7} request to)?(?: @url)?:?"
    r"|status code \[[^\]\n]{0,300}\]:|unexpected HTTP status:|StatusCode:|[Ss]tatus code(?: from registry)?:?|HTTP (?:status|code|response):?"
    r"|unexpected http code:|error parsing HTTP|Error: Status|Status|status:|response code:?|server responded with|invalid status code from registry"
    r"|@url\"?: ) ?([1-5]\d\d)(?!\d)"
)
_TRAILING_STATUS: Final = re.compile(r"[.:] (40[0-9]|4[12]\d|451|5[0-2]\d)(?: [A-Z][A-Za-z -]{2,40})?\s*\Z")
_ANONYMOUS: Final = re.compile(r"fetch anonymous token")
_WITH_CREDENTIALS: Final = re.compile(r"fetch oauth token")
_OBJECT_STORE_DENIAL: Final = re.compile(r"<Code>AccessDenied|AccessDenied|AuthorizationFailure|InvalidAccessKeyId")

_DENIALS: Final = (C.CREDENTIALS_REJECTED, C.CREDENTIALS_MISSING, C.SOURCE_DENIED, C.BLOCKED_BY_POLICY)


def status_of(error: str) -> int:
    """Return the HTTP status that `error` tells, 0 where it tells none."""
    found = _STATUS.search(error) or _TRAILING_STATUS.search(error)
    return int(found[1]) if found else 0


def by_status(status: int, request: Request, error: str) -> Rule | None:
    """Return the rule for an answer with `status` to `request`, None where the status tells nothing."""
    found = _REFUSALS.get(status)
    if found is not None:
        return _refused(found, request, error)
    if status == 404:  # noqa: PLR2004 - HTTP
        return _BLOB_ABSENT if request.kind is Kind.BLOB else _ABSENT
    if status == 400 and request.scheme == "http":  # noqa: PLR2004 - HTTP
        return _TLS_EXPECTED
    if status in _SPECIAL:
        return _SPECIAL[status]
    return _OTHER if status >= 300 else None  # noqa: PLR2004 - HTTP


def _refused(found: Rule, request: Request, error: str) -> Rule:
    """401 and 403: who asked, and for what, decides what the refusal means."""
    if request.kind is Kind.BLOB:
        return _OBJECT_DENIED if _OBJECT_STORE_DENIAL.search(error) else _BLOB_REFUSED
    if request.kind is Kind.TOKEN and _ANONYMOUS.search(error):
        return replace(
            found, cause=C.CREDENTIALS_MISSING, alternatives=(C.ACCESS_DENIED_OR_NOT_FOUND, C.CREDENTIALS_REJECTED)
        )
    if request.kind is Kind.TOKEN and _WITH_CREDENTIALS.search(error):
        return replace(found, cause=C.CREDENTIALS_REJECTED, alternatives=(C.ACCESS_DENIED_OR_NOT_FOUND,))
    return found


_REFUSALS: Final = {
    401: rule("401", C.CREDENTIALS_MISSING, C.CREDENTIALS_REJECTED, C.ACCESS_DENIED_OR_NOT_FOUND, stage=Stage.AUTH),
    403: rule("403", C.ACCESS_DENIED_OR_NOT_FOUND, *_DENIALS, stage=Stage.AUTH),
}
_ABSENT: Final = rule("404", C.TAG_NOT_FOUND, C.REPOSITORY_NOT_FOUND, stage=Stage.MANIFEST)
_BLOB_ABSENT: Final = rule("404 on a blob", C.BLOB_UNAVAILABLE, stage=Stage.BLOB)
_BLOB_REFUSED: Final = rule(
    "401 or 403 on a blob", C.BLOB_UNAVAILABLE, C.SOURCE_DENIED, C.ACCESS_DENIED_OR_NOT_FOUND, stage=Stage.BLOB
)
_OBJECT_DENIED: Final = rule("object store's denial", C.SOURCE_DENIED, C.BLOB_UNAVAILABLE, stage=Stage.BLOB)
_TLS_EXPECTED: Final = rule("400 to plain HTTP", C.PLAIN_HTTP_REGISTRY, C.REGISTRY_SERVER_ERROR, stage=Stage.TLS)
_OTHER: Final = rule("other status", C.REGISTRY_SERVER_ERROR, C.NOT_A_REGISTRY)
_SPECIAL: Final = {
    407: rule("407", C.PROXY_FAILED, stage=Stage.PROXY),
    408: rule("408", C.PULL_STALLED, C.REGISTRY_SERVER_ERROR),
    412: rule("412", C.BLOCKED_BY_POLICY, C.REGISTRY_SERVER_ERROR),
    429: rule("429", C.RATE_LIMITED),
    451: rule("451", C.BLOCKED_BY_POLICY, C.ACCESS_DENIED_OR_NOT_FOUND),
}
