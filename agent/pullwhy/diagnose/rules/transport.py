"""Rules over the way to the registry: proxy, name, connection, TLS, and answers that never came."""

from __future__ import annotations

from pullwhy.diagnose.case import Case
from pullwhy.diagnose.rules.verdict import Results, Verdict, has_fault, verdict
from pullwhy.model import CauseId, Outcome, Stage, Via
from pullwhy.plan import STUBS
from pullwhy.trace import (
    CertificateFacts,
    ConnectAttempt,
    ConnectResult,
    DNSFacts,
    DNSResult,
    HTTPFault,
    NameserverAnswer,
    StageResult,
    TLSFault,
)

_ABSENT = frozenset({DNSResult.NXDOMAIN, DNSResult.NODATA})

_CONNECT_CAUSES: dict[ConnectResult, CauseId] = {
    ConnectResult.REFUSED: CauseId.CONNECTION_REFUSED,
    ConnectResult.TIMED_OUT: CauseId.CONNECTION_TIMED_OUT,
    ConnectResult.UNREACHABLE: CauseId.NETWORK_UNREACHABLE,
    ConnectResult.PROHIBITED: CauseId.NETWORK_UNREACHABLE,
}

_TLS_CAUSES: dict[TLSFault, CauseId] = {
    TLSFault.UNTRUSTED: CauseId.CERTIFICATE_UNTRUSTED,
    TLSFault.CHAIN_INCOMPLETE: CauseId.CERTIFICATE_CHAIN_INCOMPLETE,
    TLSFault.EXPIRED: CauseId.CERTIFICATE_EXPIRED,
    TLSFault.NOT_YET_VALID: CauseId.CERTIFICATE_NOT_YET_VALID,
    TLSFault.NAME_MISMATCH: CauseId.CERTIFICATE_NAME_MISMATCH,
    TLSFault.CLIENT_CERTIFICATE_REQUIRED: CauseId.CLIENT_CERTIFICATE_REQUIRED,
    TLSFault.HANDSHAKE_FAILED: CauseId.TLS_HANDSHAKE_FAILED,
    TLSFault.TIMED_OUT: CauseId.TLS_HANDSHAKE_TIMED_OUT,
    TLSFault.PLAIN_HTTP: CauseId.PLAIN_HTTP_REGISTRY,
    TLSFault.RESET: CauseId.CONNECTION_RESET,
    TLSFault.UNACCEPTABLE: CauseId.TLS_HANDSHAKE_FAILED,
}


def proxy_fails(_case: Case, failed: StageResult, results: Results) -> Verdict | None:
    """Read any failure on the way to or through the proxy: the proxy, whatever struck there."""
    past = next((r for r in results if r.stage is Stage.PROXY and r.outcome is Outcome.SKIPPED and r.connect), None)
    direct = past is not None and any(one.result is ConnectResult.CONNECTED for one in past.connect)
    if failed.stage is not Stage.PROXY and failed.via is not Via.PROXY:
        return None
    return Verdict(
        CauseId.PROXY_FAILED,
        Stage.PROXY,
        Via.PROXY,
        failed,
        arguments={
            "detail": failed.detail + ("; without the proxy the host is reached from here" if direct else ""),
            "proxy": failed.target,
            "direct": "" if past is None else "yes" if direct else "no",
        },
    )


def name_not_resolved(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read the answer at which the resolver stopped: it denies the name, or it is no answer at all."""
    if failed.stage is not Stage.DNS:
        return None
    facts = failed.dns
    answer = decisive_answer(facts) if facts is not None else None
    unasked = facts is not None and answer is None  # no nameserver is asked for what is no name at all
    denied = unasked or (answer is not None and answer.result in _ABSENT)
    if answer is None:
        hint = f": {failed.detail}" if failed.detail else ""
    else:
        hint = f" ({answer.server}: {answer.result.value})"
    behind = _behind_resolved(facts, answer)
    if behind is not None:
        hint += f"; {behind.server}, which systemd-resolved asks, says: {behind.result.value}"
    resolved = "" if behind is None else "broken" if behind.result is DNSResult.ANSWERED else "upstream"
    answer = behind if behind is not None and resolved == "upstream" and not denied else answer
    return verdict(
        CauseId.DNS_NAME_NOT_FOUND if denied else CauseId.DNS_SERVER_FAILURE,
        failed,
        nameserver_hint=hint,
        nameserver=answer.server if answer is not None else "",
        answer=answer.result.value if answer is not None else "",
        resolved=resolved,
    )


def _behind_resolved(facts: DNSFacts | None, answer: NameserverAnswer | None) -> NameserverAnswer | None:
    """Return what tells most of the nameservers behind systemd-resolved: one that answers, else the first."""
    if facts is None or answer is None or answer.server not in STUBS:
        return None
    said = [one for one in facts.answers if one.upstream]
    return next((one for one in said if one.result is DNSResult.ANSWERED), next(iter(said), None))


def decisive_answer(facts: DNSFacts) -> NameserverAnswer | None:
    """Return the answer that decided, or the one that tells most where none is marked."""
    if facts.decisive is not None:
        return facts.decisive
    failed = [answer for answer in facts.answers if answer.result is not DNSResult.ANSWERED]
    denied = [answer for answer in failed if answer.result in _ABSENT]
    return next(iter([*denied, *failed]), None)


def not_connected(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read the connects: an unreachable IPv6 address counts only where there was nothing else to try."""
    if failed.stage is not Stage.CONNECT:
        return None
    attempt = decisive_attempt(failed.connect)
    cause = _CONNECT_CAUSES.get(attempt.result) if attempt is not None else None
    if attempt is None or cause is None:
        return None
    tried = ", ".join(f"{_address(a)} {a.result.value}" for a in failed.connect[:4])
    return verdict(
        cause,
        failed,
        address=attempt.address,
        port=str(attempt.port),
        address_hint=f" ({tried})",
        family="6" if ":" in attempt.address else "4",
    )


def decisive_attempt(attempts: tuple[ConnectAttempt, ...]) -> ConnectAttempt | None:
    """Return the attempt whose failure Go's dialler would report: its first, IPv6 without a route aside."""
    failed = [a for a in attempts if a.result in _CONNECT_CAUSES]
    routed = [a for a in failed if not (":" in a.address and a.result is ConnectResult.UNREACHABLE)]
    return next(iter([*routed, *failed]), None)


def _address(attempt: ConnectAttempt) -> str:
    host = f"[{attempt.address}]" if ":" in attempt.address else attempt.address
    return f"{host}:{attempt.port}"


def handshake_fails(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read the handshake's verdict and the certificate at fault."""
    if failed.stage is not Stage.TLS:
        return None
    fault = failed.tls.fault if failed.tls is not None else None
    cause = _TLS_CAUSES[fault] if fault is not None else CauseId.TLS_HANDSHAKE_FAILED
    arguments = {"detail": failed.detail or (failed.tls.error if failed.tls is not None else "")}
    certificate = faulty_certificate(failed)
    if certificate is not None:
        arguments |= {
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "not_after": certificate.not_after.strftime("%Y-%m-%d %H:%M UTC"),
            "not_before": certificate.not_before.strftime("%Y-%m-%d %H:%M UTC"),
            "names": ", ".join(certificate.names[:8]) or certificate.subject,
        }
    if fault is TLSFault.UNACCEPTABLE:
        told = failed.tls.error if failed.tls is not None else ""
        arguments |= {"certificate_fault": "yes", "detail": f"Go, in which the runtime is written, says {told}"}
    if failed.tls is not None and failed.tls.large_hello:
        arguments["hello"] = "large"
    if cause is CauseId.PLAIN_HTTP_REGISTRY:
        arguments |= {
            "scheme": "http",
            "scheme_fault": "it speaks plain HTTP, and the runtime speaks HTTPS to it",
        }
    return verdict(cause, failed, **arguments)


def faulty_certificate(result: StageResult) -> CertificateFacts | None:
    """Return the certificate at fault; for a missing issuer that is the last one sent, else the leaf."""
    if result.tls is None or not result.tls.chain:
        return None
    chain, index = result.tls.chain, result.tls.faulty
    if index is not None and 0 <= index < len(chain):
        return chain[index]
    missing_issuer = result.tls.fault in {TLSFault.UNTRUSTED, TLSFault.CHAIN_INCOMPLETE}
    return chain[-1] if missing_issuer else chain[0]


def scheme_reversed(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a server that wants TLS where the runtime is told to speak plain HTTP."""
    if not has_fault(failed, HTTPFault.TLS_EXPECTED):
        return None
    return verdict(
        CauseId.PLAIN_HTTP_REGISTRY,
        failed,
        scheme="https",
        scheme_fault="it speaks HTTPS, and the runtime is told to speak plain HTTP to it",
    )


def answer_cut(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a connection that was cut after the request went out; content that ended too early is another matter."""
    early_end = has_fault(failed, HTTPFault.CUT_SHORT) and failed.stage is not Stage.BLOB
    if not has_fault(failed, HTTPFault.RESET) and not early_end:
        return None
    received = failed.http.received if failed.http is not None else 0
    return verdict(CauseId.CONNECTION_RESET, failed, detail=failed.detail or f"after {received} bytes of the answer")


def answer_never_came(_case: Case, failed: StageResult, _results: Results) -> Verdict | None:
    """Read a request that was taken and not answered, or not to its end."""
    return verdict(CauseId.PULL_STALLED, failed) if has_fault(failed, HTTPFault.TIMED_OUT) else None
