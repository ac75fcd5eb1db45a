"""Rules over what the registry answers: limits, policies, refusals, absences, and content that is not what it should be."""

from __future__ import annotations

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.registries import service_of
from pullwhy.diagnose.rules.limits import limit_arguments
from pullwhy.diagnose.rules.verdict import (
    STRONG,
    Results,
    Verdict,
    codes,
    has_fault,
    header,
    host_of,
    status,
    status_text,
    verdict,
)
from pullwhy.model import CauseId, Outcome, Stage, Via
from pullwhy.trace import AuthFacts, AuthResult, BlobResult, HTTPFacts, HTTPFault, Identity, StageResult

_REGISTRY_STAGES = frozenset({Stage.AUTH, Stage.MANIFEST, Stage.PLATFORM, Stage.BLOB})

HTTP_OK, HTTP_REDIRECT = 200, 300
HTTP_UNAUTHORIZED, HTTP_FORBIDDEN, HTTP_NOT_FOUND = 401, 403, 404
HTTP_PRECONDITION_FAILED, HTTP_TOO_MANY, HTTP_LEGAL, HTTP_SERVER_ERROR = 412, 429, 451, 500


def rate_limited(case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a 429, with what its headers say about when it ends and whose limit it is."""
    if status(failed) != HTTP_TOO_MANY:
        return None
    return verdict(CauseId.RATE_LIMITED, failed, **limit_arguments(failed.http, case.now))


def policy_blocks(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a registry's own policy: Harbor's 412 PROJECTPOLICYVIOLATION, a quarantine, a legal reason."""
    told = codes(failed)
    by_status = status(failed) in {HTTP_PRECONDITION_FAILED, HTTP_LEGAL} and failed.stage is not Stage.BLOB
    if not by_status and not any("POLICY" in code or "QUARANTINE" in code for code in told):
        return None
    return verdict(CauseId.BLOCKED_BY_POLICY, failed, policy=f"{host_of(failed)} answers {status_text(failed)}")


def source_denied(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a refusal that names the asker's address, or an object store that forbids what the registry signed."""
    if failed.http is None or status(failed) not in {HTTP_UNAUTHORIZED, HTTP_FORBIDDEN}:
        return None
    forbidden_store = failed.via is Via.BLOB_HOST and status(failed) == HTTP_FORBIDDEN
    if not failed.http.names_client_address and not forbidden_store:
        return None
    doubt = (
        "" if failed.http.names_client_address else "an object store also answers 403 for content that it does not have"
    )
    return verdict(CauseId.SOURCE_DENIED, failed, doubt=doubt)


def server_error(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a 5xx, of the registry, its token service or its blob host."""
    if status(failed) < HTTP_SERVER_ERROR:
        return None
    return verdict(CauseId.REGISTRY_SERVER_ERROR, failed, status_text=status_text(failed))


def not_a_registry(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a page made for people, or no HTTP at all, where a registry should answer."""
    if failed.http is None or failed.stage not in _REGISTRY_STAGES:
        return None
    if has_fault(failed, HTTPFault.GARBLED):
        return verdict(CauseId.NOT_A_REGISTRY, failed, nature="its answer is not HTTP", scheme=_scheme(failed.http))
    challenged = failed.auth is not None and failed.auth.scheme != "" and status(failed) == HTTP_UNAUTHORIZED
    no_registry = failed.http.html and not failed.http.registry_api and not challenged
    if no_registry and failed.via is not Via.BLOB_HOST:
        page = f"a web page ({status_text(failed)})"
        return verdict(CauseId.NOT_A_REGISTRY, failed, nature=page, scheme=_scheme(failed.http))
    return None


def _scheme(facts: HTTPFacts) -> str:
    """Return the scheme that was spoken, `http` or `https`."""
    return facts.url.partition("://")[0]


def access_refused(case: Case, failed: StageResult, results: Results) -> Verdict | None:
    """Read a refusal of the asker: by the token service, or by the registry with or without credentials."""
    refused_manifest = failed.stage is Stage.MANIFEST and status(failed) in {HTTP_UNAUTHORIZED, HTTP_FORBIDDEN}
    if failed.stage is not Stage.AUTH and not refused_manifest:
        return None
    facts = failed.auth or AuthFacts(AuthResult.REFUSED)
    if facts.result is AuthResult.UNUSABLE_CHALLENGE and failed.via is Via.TOKEN_HOST:
        return verdict(CauseId.REGISTRY_SERVER_ERROR, failed, status_text=f"{status_text(failed)} without a token")
    service = service_of(case.image.registry if case.image is not None else "")
    asked_manifest = failed.http is not None and "/manifests/" in failed.http.url
    known_but_closed = facts.error == "insufficient_scope" or (status(failed) == HTTP_FORBIDDEN and asked_manifest)
    if failed.identity in STRONG:
        closed = known_but_closed and not _expired(case, failed)
        cause = CauseId.ACCESS_DENIED_OR_NOT_FOUND if closed else CauseId.CREDENTIALS_REJECTED
    elif service.hides or (status(failed) == HTTP_FORBIDDEN and asked_manifest):
        cause = CauseId.ACCESS_DENIED_OR_NOT_FOUND
    else:
        cause = CauseId.CREDENTIALS_MISSING
    found = {"provider": service.provider, "service": service.title, "realm": facts.realm_host}
    if failed.identity in STRONG:
        found |= _credential_arguments(case, facts, failed, results)
    return verdict(cause, failed, **found)


def _expired(case: Case, failed: StageResult) -> str:
    """Return in words that the credentials have ended, by their own word or the registry's; nothing where they have not."""
    ends = failed.auth.credentials_expire if failed.auth is not None else None
    if ends is not None and ends <= case.now:
        return f"the token expired at {ends:%Y-%m-%dT%H:%M:%SZ}"
    return "the registry says that the token has expired" if failed.http and failed.http.says_expired else ""


def _credential_arguments(case: Case, facts: AuthFacts, failed: StageResult, results: Results) -> dict[str, str]:
    expired, ends = _expired(case, failed), facts.credentials_expire
    found = {"expired": expired, "lifetime": facts.credentials_kind}
    if ends is not None and not expired:
        found["lasts"] = f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    words = [f"from {facts.credentials_source}"] if facts.credentials_source else []
    words += [expired] if expired else []
    if failed.identity is Identity.NODE:
        found["source_file"] = facts.credentials_source.partition(" (")[0]
    found |= {"source": facts.credentials_source, "source_hint": f" ({'; '.join(words)})" if words else ""}
    if any(r.stage is Stage.MANIFEST and r.outcome is Outcome.PASSED for r in results):
        found["public"] = "yes"  # the anonymous walk passes
    return found


def not_found(case: Case, failed: StageResult, results: Results) -> Verdict | None:
    """Read a 404 on the reference itself, with what the tag list says and who asked."""
    if failed.stage is not Stage.MANIFEST or status(failed) != HTTP_NOT_FOUND:
        return None
    facts = failed.manifest
    unknown_name = "NAME_UNKNOWN" in codes(failed) or (facts is not None and facts.repository_answers is False)
    hiding = service_of(case.image.registry if case.image is not None else "").hides_as_absent or (
        header(failed.http, "server").lower().startswith("artifactory")
    )
    doubt = "this registry may answer 404 for what it forbids" if hiding else ""
    if unknown_name:
        if not doubt and not _may_read(failed, results):
            doubt = "a registry may say that it does not know the repository to whom it does not let in"
        return verdict(CauseId.REPOSITORY_NOT_FOUND, failed, doubt=doubt)
    if case.image is not None and case.image.digest:
        return verdict(CauseId.DIGEST_NOT_FOUND, failed, doubt=doubt)
    if facts is not None and facts.tag_listed:
        doubt = "the registry's own tag list names the tag that it answers 404 for"
    similar = ", ".join(facts.similar_tags[:8]) if facts is not None else ""
    hint = f"; it has {similar}" if similar else ""
    return verdict(CauseId.TAG_NOT_FOUND, failed, doubt=doubt, similar=similar, similar_hint=hint)


def _may_read(failed: StageResult, results: Results) -> bool:
    """Whether the asker has a right that was checked: credentials, or a registry that is open to all."""
    open_to_all = any(r.auth is not None and r.auth.result is AuthResult.NOT_NEEDED for r in results)
    challenged = any(r.auth is not None and r.auth.result is not AuthResult.NOT_NEEDED for r in results)
    return failed.identity in STRONG or open_to_all or not challenged


def unusable_manifest(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a manifest that came and that no runtime can use, or whose bytes are not its digest's."""
    if failed.stage is not Stage.MANIFEST:
        return None
    if failed.blob is not None and failed.blob.result is BlobResult.CORRUPT:
        return verdict(CauseId.CONTENT_CORRUPT, failed, blob_hint=f": the manifest {failed.blob.digest}")
    unsupported = failed.manifest.unsupported if failed.manifest is not None else ""
    if not unsupported and has_fault(failed, HTTPFault.TOO_LARGE):
        unsupported = "it is too large"
    came = HTTP_OK <= status(failed) < HTTP_REDIRECT and failed.http is not None and failed.http.fault is None
    if not unsupported and came:
        unsupported = failed.detail or "it cannot be read"
    return verdict(CauseId.MANIFEST_UNSUPPORTED, failed, unsupported=unsupported) if unsupported else None


def platform_absent(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read an index without an entry for the node's platform."""
    if failed.stage is not Stage.PLATFORM or failed.platform is None:
        return None
    facts = failed.platform
    available = ", ".join(facts.available[:12]) or "none at all"
    words = {
        "wanted": facts.wanted,
        "wanted_hint": f"the platform {facts.wanted}",
        "available_hint": f"; it has {available}",
    }
    return verdict(CauseId.PLATFORM_NOT_AVAILABLE, failed, available=available, **words)


def blob_fails(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read content below the manifest: absent, refused, altered, or not flowing."""
    if failed.stage is not Stage.BLOB:
        return None
    digest = failed.blob.digest if failed.blob is not None else ""
    outcome = failed.blob.result if failed.blob is not None else BlobResult.UNREADABLE
    if outcome is BlobResult.STALLED:
        return verdict(CauseId.PULL_STALLED, failed, blob=digest)
    if outcome is BlobResult.CORRUPT or has_fault(failed, HTTPFault.CUT_SHORT):
        return verdict(CauseId.CONTENT_CORRUPT, failed, blob=digest, blob_hint=f": {digest}")
    if has_fault(failed, HTTPFault.REDIRECT_REFUSED):
        return None
    words = {"blob_hint": f" {digest}", "status_hint": f" ({status_text(failed)})"}
    return verdict(CauseId.BLOB_UNAVAILABLE, failed, blob=digest, **words)


def odd_answer(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read every other answer that no registry should give: odd statuses, redirects that lead nowhere."""
    if failed.stage not in _REGISTRY_STAGES or failed.http is None:
        return None
    if has_fault(failed, HTTPFault.REDIRECT_REFUSED):
        return verdict(CauseId.REGISTRY_SERVER_ERROR, failed, status_text="redirects that lead nowhere")
    if has_fault(failed, HTTPFault.TOO_LARGE):
        return verdict(CauseId.NOT_A_REGISTRY, failed, nature="its answer is larger than any registry's")
    return verdict(CauseId.REGISTRY_SERVER_ERROR, failed, status_text=status_text(failed))
