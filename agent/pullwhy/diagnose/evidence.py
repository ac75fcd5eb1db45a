"""Turn what was observed into short facts, each with its source, that convince somebody who knows the trade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pullwhy.diagnose.case import MESSAGE, Case
from pullwhy.diagnose.catalogue.causes import ACCESS, CATALOGUE
from pullwhy.diagnose.rules.access import access_evidence
from pullwhy.diagnose.rules.fleet import fleet_evidence
from pullwhy.diagnose.rules.local import configs, storage_arguments
from pullwhy.diagnose.rules.reading import Reading
from pullwhy.diagnose.rules.verdict import Verdict, status_text
from pullwhy.model import Evidence, Factor, Outcome, Stage
from pullwhy.redact import redact
from pullwhy.trace import AuthResult, CertificateFacts, ConnectAttempt, NameserverAnswer, StageResult

MAX_FACTS = 24
MAX_FACT = 500
"""Characters of one fact; a runtime's message may be longer, and its end says least."""
TELLING_SKEW = 5.0
"""Seconds below which a clock is as right as a Date header, of whole seconds and some way off, can show."""

_TELLING = ("retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "ratelimit-source", "server")
"""Ends of the names of headers that tell more than the status does."""
_LISTED = 8
"""Nameservers, addresses and certificates shown of each."""


def evidence(
    case: Case, found: Verdict, reading: Reading, notes: Iterable[str], held: tuple[Factor, ...] = ()
) -> tuple[Evidence, ...]:
    """Return the facts for the diagnosis `found` and the factors that it `held`, the nearest first, at most `MAX_FACTS`."""
    facts = [
        *_told(case),
        *fleet_evidence(case, found),
        *_asked_as(case, found),
        *access_evidence(case, found),
        *(_of_result(found.result) if found.result is not None else ()),
        *_remarks(case),
        *_waiting(case),
        *_limits(case, held),
        *_of_symptom(reading),
        *_of_others(found, reading),
        *_local(case, found),
        *_passing(reading),
        *(Evidence(found.stage, note, "judgement") for note in notes),
    ]
    unique = {(fact.stage, _short(fact.fact), fact.source): None for fact in facts if fact.fact}
    return tuple(Evidence(*key) for key in list(unique)[:MAX_FACTS])


def _short(fact: str) -> str:
    return fact if len(fact) <= MAX_FACT else f"{fact[: MAX_FACT - 1]}…"


def _told(case: Case) -> Iterator[Evidence]:
    if case.failure is not None and case.failure.message:
        stage = case.hypothesis.stage if case.hypothesis is not None else Stage.KUBELET
        text = redact(case.failure.message)
        if case.failure.unit == MESSAGE:
            yield Evidence(stage, text, MESSAGE)
        else:
            yield Evidence(stage, f"{case.failure.told_as or case.failure.reason}: {text}", case.log)
    if case.reproduction is not None and case.reproduction.outcome == "Failed":
        text = redact(case.reproduction.message)
        if case.reproduction.code:
            yield Evidence(
                Stage.RUNTIME, f"asked over CRI, the runtime answers {case.reproduction.code}: {text}", "cri"
            )
        else:
            yield Evidence(Stage.RUNTIME, f"the kubelet's own next try failed: {text}", case.log)


def _asked_as(case: Case, found: Verdict) -> Iterator[Evidence]:
    sent = case.failure.credentials_sent if case.failure is not None and found.cause in ACCESS else None
    if sent is not None:
        fact = (
            "the kubelet sent credentials with this pull" if sent else "the kubelet found no credentials for this image"
        )
        yield Evidence(Stage.AUTH, fact, case.log)


def _of_result(result: StageResult) -> Iterator[Evidence]:
    source = f"walk ({result.identity})" if result.identity else "walk"
    lines = [*_dns(result), *_connect(result), *_tls(result), *_http(result), *_auth(result), *_content(result)]
    if result.config is not None:
        line = f":{result.config.line}" if result.config.line is not None else ""
        yield Evidence(Stage.CONFIG, result.config.why, f"{result.config.file}{line}")
        return
    if result.storage is not None:
        yield Evidence(Stage.STORAGE, storage_arguments(result).get("storage_hint", ""), "statvfs")
        return
    via = f" (via {result.via})" if result.via is not None else ""
    if len(lines) == 1 and [f"{each.address}: {each.detail}" for each in result.connect] == [result.detail]:
        whole = not via and lines[0].startswith(f"{result.target}: ")
        yield Evidence(result.stage, lines[0] if whole else f"{result.target}{via}: {lines[0]}", source)
        return
    yield Evidence(result.stage, f"{result.target}{via}: {result.detail or result.outcome.value}", source)
    for line in lines:
        yield Evidence(result.stage, line, source)


def _dns(result: StageResult) -> list[str]:
    if result.dns is None:
        return []
    return [_answer(answer) for answer in result.dns.answers[:_LISTED]]


def _answer(answer: NameserverAnswer) -> str:
    addresses = f" {', '.join(answer.addresses[:4])}" if answer.addresses else ""
    lead = "nameserver behind systemd-resolved" if answer.upstream else "nameserver"
    return f"{lead} {answer.server}, {answer.name}: {answer.result.value}{addresses} ({answer.seconds:.2f} s)"


def _connect(result: StageResult) -> list[str]:
    return [_attempt(attempt) for attempt in result.connect[:_LISTED]]


def _attempt(attempt: ConnectAttempt) -> str:
    host = f"[{attempt.address}]" if ":" in attempt.address else attempt.address
    detail = f", {attempt.detail}" if attempt.detail else ""
    used = ", and used" if attempt.used else ""
    return f"{host}:{attempt.port}: {attempt.result.value} after {attempt.seconds:.2f} s{detail}{used}"


def _tls(result: StageResult) -> list[str]:
    if result.tls is None:
        return []
    told = result.tls.error and result.tls.error not in result.detail
    error = [f"the handshake says: {result.tls.error}"] if told else []
    chain = [_certificate(i, c, result.tls.faulty) for i, c in enumerate(result.tls.chain[:_LISTED])]
    return [*error, *chain]


def _certificate(index: int, certificate: CertificateFacts, faulty: int | None) -> str:
    mark = " ← at fault" if index == faulty else ""
    names = f", names {', '.join(certificate.names[:4])}" if index == 0 and certificate.names else ""
    dates = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
    issuer = "itself" if certificate.self_signed else certificate.issuer
    lead = f"sent certificate {index}" if certificate.sent else "trusted certificate"
    return f"{lead}: {certificate.subject}, issued by {issuer}, valid {dates}{names}{mark}"


def _http(result: StageResult) -> list[str]:
    if result.http is None:
        return []
    lines = [f"{result.http.method} {result.http.url}: {status_text(result)}"]
    shown = {key: value for key, value in (result.http.headers or {}).items() if key.lower().endswith(_TELLING)}
    if shown:
        lines.append("headers: " + ", ".join(f"{key}: {value}" for key, value in list(shown.items())[:_LISTED]))
    if result.http.html and not result.http.registry_api:
        lines.append("the answer is a web page, without a registry's header or error")
    return lines


def _auth(result: StageResult) -> list[str]:
    if result.auth is None or result.auth.result is AuthResult.NOT_NEEDED:
        return []
    facts = result.auth
    parts = [
        facts.result.value,
        f"scheme {facts.scheme}" if facts.scheme else "",
        f"token service {facts.realm_host}" if facts.realm_host else "",
        f"error {facts.error}" if facts.error else "",
        f"credentials from {facts.credentials_source}" if facts.credentials_source else "",
        facts.credentials_kind,
        f"which end at {facts.credentials_expire:%Y-%m-%dT%H:%M:%SZ}" if facts.credentials_expire else "",
        "the registry says that the token has expired" if result.http and result.http.says_expired else "",
    ]
    return ["authentication: " + ", ".join(part for part in parts if part)]


def _content(result: StageResult) -> list[str]:
    lines: list[str] = []
    if result.manifest is not None:
        if result.manifest.tag_listed is not None:
            lines.append(f"the registry's tag list {'has' if result.manifest.tag_listed else 'does not have'} this tag")
        if result.manifest.similar_tags:
            lines.append("similar tags: " + ", ".join(result.manifest.similar_tags[:_LISTED]))
        if result.manifest.unsupported:
            lines.append(f"{result.manifest.media_type or 'the manifest'}: {result.manifest.unsupported}")
    if result.platform is not None:
        lines.append(
            f"wanted {result.platform.wanted}, available {', '.join(result.platform.available[:16]) or 'none'}"
        )
    if result.blob is not None:
        where = f" at {result.blob.host}" if result.blob.host else ""
        lines.append(f"{result.blob.digest}{where}: {result.blob.result.value}")
    return lines


def _remarks(case: Case) -> Iterator[Evidence]:
    """Tell what the runtime itself logged of each host that it tried, and of its configuration."""
    for remark in case.remarks:
        stage = CATALOGUE[remark.cause].stage if remark.cause is not None else Stage.RUNTIME
        who = f"{remark.host}{' (a mirror)' if remark.is_mirror else ''}: " if remark.host else ""
        runtime = case.node.runtime or "the runtime"
        yield Evidence(stage, f"{runtime}'s log at {remark.when:%H:%M:%S}: {who}{remark.text}", remark.unit)


def _waiting(case: Case) -> Iterator[Evidence]:
    pods = case.queue.pods
    if len(pods) < 2:  # noqa: PLR2004 - one is the pull's own
        return
    names = ", ".join(f"{pod.namespace}/{pod.name}" for pod in pods[:_LISTED])
    more = f" and {len(pods) - _LISTED} more" if len(pods) > _LISTED else ""
    fact = f"{len(pods)} pods have a sandbox and no container yet, that of this pull among them: {names}{more}"
    yield Evidence(Stage.KUBELET, fact, "cri")
    if case.node.serial_pulls:
        fact = "the kubelet's settings have it pull one image at a time (serializeImagePulls)"
        yield Evidence(Stage.KUBELET, fact, "kubelet configuration")


def _limits(case: Case, held: tuple[Factor, ...]) -> Iterator[Evidence]:
    table, ports = case.node.conntrack, case.node.local_ports
    if Factor.CONNTRACK_FULL in held and table is not None:
        fact = f"{table[0]} connections are tracked, of {table[1]} that may be"
        yield Evidence(Stage.CONNECT, fact, "/proc/sys/net/netfilter/nf_conntrack_count")
    if Factor.PORTS_EXHAUSTED in held and ports is not None:
        fact = f"local ports go from {ports[0]} to {ports[1]}: {ports[1] - ports[0] + 1} connections to one address and port"
        yield Evidence(Stage.CONNECT, fact, "/proc/sys/net/ipv4/ip_local_port_range")


def _of_symptom(reading: Reading) -> Iterator[Evidence]:
    if reading.symptom is not None and reading.symptom.result is not None:
        yield from _of_result(reading.symptom.result)


def _of_others(found: Verdict, reading: Reading) -> Iterator[Evidence]:
    for other in reading.all_failures:
        if other.result is None or other.result is found.result:
            continue
        result = other.result
        via = f" (via {other.via})" if other.via is not None else ""
        yield Evidence(
            other.stage, f"{result.target}{via}: {other.cause.value}, {result.detail or status_text(result)}", "walk"
        )


def _local(case: Case, found: Verdict) -> Iterator[Evidence]:
    if case.image_present is not None:
        word = "is" if case.image_present else "is not"
        yield Evidence(Stage.KUBELET, f"the image {word} on this node", "cri")
    for result, facts in configs(case):
        if result is not found.result:
            line = f":{facts.line}" if facts.line is not None else ""
            yield Evidence(Stage.CONFIG, facts.why, f"{facts.file}{line}")
    results = case.trace.results if case.trace is not None else ()
    for result in results:
        if result.storage is not None and result.outcome is Outcome.FAILED and result is not found.result:
            yield Evidence(Stage.STORAGE, storage_arguments(result).get("storage_hint", ""), "statvfs")
    skew = case.trace.clock_skew_seconds if case.trace is not None else None
    if skew is not None and abs(skew) >= TELLING_SKEW:
        yield Evidence(Stage.TLS, f"this node's clock is {skew:+.0f} s from the servers' Date headers", "walk")


def _passing(reading: Reading) -> Iterator[Evidence]:
    if reading.passed:
        passed = [stage.value for stage in Stage if stage in reading.looked]
        yield Evidence(Stage.MANIFEST, f"the walk passes: {', '.join(passed)}", "walk")
