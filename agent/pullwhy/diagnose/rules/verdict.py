"""What one rule says about what was observed, and how one result's facts are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from urllib.parse import urlsplit

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.catalogue.causes import CATALOGUE
from pullwhy.frozen import frozen
from pullwhy.model import CauseId, Stage, Via
from pullwhy.trace import HTTPFacts, HTTPFault, Identity, StageResult

STRONG: frozenset[Identity] = frozenset({Identity.NODE, Identity.SUPPLIED, Identity.POD})
"""Identities that send credentials."""


@frozen
class Verdict:
    """A cause with the observation that speaks for it."""

    cause: CauseId
    stage: Stage
    via: Via | None = None
    result: StageResult | None = None
    doubt: str = ""
    """Why this cannot be called proved even where the kubelet failed alike; empty where it can."""
    arguments: dict[str, str] = field(default_factory=dict)
    """Values for the summary and the remedy, beside those that every case has."""


Results = tuple[StageResult, ...]
Rule = Callable[[Case, StageResult, Results], Verdict | None]
"""Reads one endpoint's decisive failure, with all that was observed of that endpoint."""


def verdict(cause: CauseId, result: StageResult, *, doubt: str = "", **arguments: str) -> Verdict:
    """Return the verdict that `result` supports, at the stage that the catalogue allows for it."""
    stage = CATALOGUE[cause].stage_for(result.stage)
    return Verdict(cause, stage, result.via, result, doubt, {"host": host_of(result), **arguments})


def host_of(result: StageResult) -> str:
    """Return the host (with its port, where that is not the scheme's own) that `result` is about."""
    if result.via is Via.TOKEN_HOST and result.auth is not None and result.auth.realm_host:
        return result.auth.realm_host
    if result.stage not in _NAMES_CONTENT:
        return result.target
    asked = _netloc(result.http.url) if result.http is not None else ""
    if asked:
        return asked
    if result.blob is not None:
        return result.blob.host
    host, slash, _ = result.target.partition("/")
    return host if slash and result.stage is Stage.MANIFEST else ""


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


_NAMES_CONTENT = frozenset({Stage.MANIFEST, Stage.PLATFORM, Stage.BLOB})
"""Stages whose target is what was asked for: a reference, a digest, a platform."""


def status(result: StageResult) -> int:
    """Return the HTTP status that decided `result`, 0 where there was none."""
    return result.http.status if result.http is not None else 0


def has_fault(result: StageResult, fault: HTTPFault) -> bool:
    """Whether `result` ended by `fault` instead of an HTTP answer.

    An error status decides by itself, whatever became of its body, but for plain HTTP on a TLS port, which is told so.
    """
    if result.http is None or result.http.fault is not fault:
        return False
    return fault is HTTPFault.TLS_EXPECTED or result.http.status < 400  # noqa: PLR2004 - HTTP errors


def codes(result: StageResult) -> frozenset[str]:
    """Return the registry error codes of the answer, in upper case."""
    return frozenset(code.upper() for code in result.http.codes) if result.http is not None else frozenset()


def header(facts: HTTPFacts | None, name: str) -> str:
    """Return the header `name` (lower case) of the answer, empty where it was not seen."""
    for key, value in ((facts.headers or {}) if facts is not None else {}).items():
        if key.lower() == name:
            return value
    return ""


STATUS_NAMES: dict[int, str] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def status_text(result: StageResult) -> str:
    """Return status, its name and the registry's error codes, such as `404 Not Found (MANIFEST_UNKNOWN)`."""
    number = status(result)
    if not number:
        return result.http.fault.value if result.http is not None and result.http.fault is not None else "no answer"
    text = f"{number} {STATUS_NAMES.get(number, '')}".strip()
    told = ", ".join(result.http.codes[:4]) if result.http is not None else ""
    return f"{text} ({told})" if told else text
