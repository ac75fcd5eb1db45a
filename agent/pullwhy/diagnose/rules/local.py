"""Rules over what is known on the node without asking anybody: the reference, the policy, files, disks, the runtime."""

from __future__ import annotations

from pathlib import PurePosixPath

from pullwhy.access import PullRecord
from pullwhy.diagnose.case import MESSAGE, Case
from pullwhy.diagnose.catalogue.causes import CATALOGUE
from pullwhy.diagnose.rules.verdict import Verdict
from pullwhy.image import InvalidReference, parse
from pullwhy.model import CauseId, Outcome, Reason, Stage, Via
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult

VERIFYING_KUBELET = (1, 33)
"""From here on a kubelet may verify a pod's right to an image that is present (KEP-2535)."""

_HOSTS_FILES = frozenset({"hosts.toml", "daemon.json"})
_LIMITER_TEXT = "pull QPS exceeded"
_SHOWN = 3
"""Names shown of one record."""


def invalid_reference(case: Case) -> Verdict | None:
    """Read the reference by the grammar that the kubelet uses."""
    text = case.image_text or (case.failure.image if case.failure is not None else "")
    if case.image is not None or not (text or _was_empty(case)):
        return None
    try:
        parse(text)
    except InvalidReference as error:
        arguments = {"fault": error.fault, "suggestion": error.suggestion[:255], "reference": error.text}
        return Verdict(CauseId.INVALID_IMAGE_REFERENCE, Stage.REFERENCE, arguments=arguments)
    return None


def _was_empty(case: Case) -> bool:
    """Whether an empty reference was given; of a line in a log it only means that the line names no image."""
    given = case.failure is None or case.failure.unit == MESSAGE
    results = case.trace.results if case.trace is not None else ()
    return given and any(r.stage is Stage.REFERENCE and r.outcome is Outcome.FAILED for r in results)


def kubelet_minor(version: str) -> tuple[int, int] | None:
    """Return major and minor of a kubelet's version; None where the text does not tell."""
    parts = version.removeprefix("v").split(".")[:2]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts):  # noqa: PLR2004
        return None
    return int(parts[0]), int(parts[1])


def kubelet_may_verify(version: str) -> bool | None:
    """Whether a kubelet of `version` may verify the right to present images; None where the version does not tell."""
    minor = kubelet_minor(version)
    return minor >= VERIFYING_KUBELET if minor is not None else None


def never_pull(case: Case) -> Verdict | None:
    """Read ErrImageNeverPull against the image's presence (kubelet 1.33 and later use one text for both causes)."""
    if case.failure is None or case.failure.reason is not Reason.ERR_IMAGE_NEVER_PULL:
        return None
    if not case.image_present:
        doubt = "" if case.image_present is False else "whether the image is on the node was not seen"
        return Verdict(CauseId.IMAGE_NEVER_PULL, Stage.KUBELET, doubt=doubt)
    record = case.pull_record if case.pull_record is not None and not case.pull_record.fault else None
    verifies = kubelet_may_verify(case.node.kubelet_version) if record is None else record.verifies
    if verifies is False:
        doubt = "by the kubelet's records every pod may use the image" if record is not None else ""
        words = {"last_hint": "; the image is on the node by now"}
        return Verdict(CauseId.TRANSIENT, Stage.KUBELET, doubt=doubt, arguments=words)
    doubt = "" if verifies else "the kubelet's version, which decides whether it verifies, is not known"
    words = record_arguments(record) if record is not None else {}
    return Verdict(CauseId.CREDENTIAL_VERIFICATION_DENIED, Stage.KUBELET, doubt=doubt, arguments=words)


def record_arguments(record: PullRecord) -> dict[str, str]:
    """Return in words with whose credentials an image was pulled."""
    if record.node_accessible:
        told = "was pulled without credentials, or with the node's own: every pod may use it"
    elif record.secrets or record.service_accounts:
        named = [f"the pull secret {name}" for name in record.secrets[:_SHOWN]]
        named += [f"the service account {name}" for name in record.service_accounts[:_SHOWN]]
        told = f"was pulled with {', '.join(named)}"
    elif record.file:
        told = "was pulled, with whose credentials is not told"
    elif record.intended:
        told = "was to be pulled, and not how that ended"
    else:
        return {"recorded": "was put there by others than the kubelet"}
    return {"recorded": told, "record_hint": f"; the kubelet recorded that it {told}"}


def kubelet_limiter(case: Case) -> Verdict | None:
    """Read the kubelet's own limiter, whose text is its proof (kubelet 1.24 to 1.36: images/puller.go, no runtime call)."""
    message = case.failure.message.strip() if case.failure is not None else ""
    if message != _LIMITER_TEXT and not message.endswith(f": {Reason.ERR_IMAGE_PULL}: {_LIMITER_TEXT}"):
        return None
    return Verdict(CauseId.KUBELET_PULL_RATE_LIMITED, Stage.KUBELET)


def signature_rejected(case: Case) -> Verdict | None:
    """Read the runtime's typed refusal of a signature (cri-api 0.28: pkg/errors)."""
    if case.failure is None or case.failure.reason is not Reason.SIGNATURE_VALIDATION_FAILED:
        return None
    return Verdict(CauseId.SIGNATURE_REJECTED, Stage.RUNTIME)


def store_damaged(case: Case) -> Verdict | None:
    """Read a local copy of the image's content that is not what its digest says, where unpacking is what failed."""
    if case.hypothesis is None or case.hypothesis.stage is not Stage.UNPACK:
        return None
    results = case.trace.results if case.trace is not None else ()
    hit = next((r for r in results if r.stage is Stage.UNPACK and r.outcome is Outcome.FAILED), None)
    return Verdict(CauseId.LOCAL_STORE_CORRUPT, Stage.UNPACK, None, hit) if hit is not None else None


def runtime_down(case: Case) -> Verdict | None:
    """Read a runtime that does not answer CRI at all."""
    told = case.hypothesis.cause if case.hypothesis is not None else CauseId.UNDETERMINED
    silent = told is CauseId.UNDETERMINED and case.failure is not None
    if case.node.runtime_answers is not False or not (silent or told is CauseId.RUNTIME_UNAVAILABLE):
        return None  # without a failure, the socket may only be closed to whoever asks here
    return Verdict(CauseId.RUNTIME_UNAVAILABLE, Stage.RUNTIME)


def configs(case: Case) -> tuple[tuple[StageResult, ConfigFacts], ...]:
    """Return what the plan found in the runtime's configuration files."""
    results = case.trace.results if case.trace is not None else ()
    return tuple((result, result.config) for result in results if result.config is not None)


def config_decides(case: Case) -> Verdict | None:
    """Read configuration that fails every pull for this registry before any host is asked."""
    for result, facts in configs(case):
        if facts.decides and facts.fault is ConfigFault.INVALID:
            return _config_verdict(CauseId.RUNTIME_CONFIG_INVALID, result, facts)
        if facts.decides and facts.fault is ConfigFault.BLOCKED:
            return _config_verdict(CauseId.BLOCKED_BY_POLICY, result, facts)
    return None


def policy_rejects(case: Case) -> Verdict | None:
    """Read a policy for images that lets none of this name run; the runtime applies it to a manifest that it could get."""
    for result, facts in configs(case):
        if facts.fault is ConfigFault.REJECTED:
            return _config_verdict(CauseId.SIGNATURE_REJECTED, result, facts)
    return None


def config_explains(case: Case, symptom: Verdict) -> Verdict | None:
    """Read configuration that is lost without failing a pull by itself, where the loss makes the walk's failure."""
    for result, facts in sorted(configs(case), key=lambda pair: pair[1].fault is ConfigFault.IGNORED):
        cause = CauseId.RUNTIME_CONFIG_IGNORED if facts.fault is ConfigFault.IGNORED else CauseId.RUNTIME_CONFIG_INVALID
        if facts.fault in {ConfigFault.BLOCKED, ConfigFault.REJECTED} or symptom.cause not in CATALOGUE[cause].explains:
            continue
        if symptom.stage is not Stage.TLS and (_only_certificates(facts) or symptom.via not in {None, Via.MIRROR}):
            continue
        return _config_verdict(cause, result, facts)
    return None


def config_told(case: Case, symptom: CauseId) -> Verdict | None:
    """Read the runtime's own word that it could not read a hosts.toml during this pull, which went to the default host then.

    containerd 1.6 to 2.3 logs that and goes on (core/remotes/docker/config/hosts.go); it names neither file nor registry.
    """
    cause = CauseId.RUNTIME_CONFIG_INVALID
    told = [remark for remark in case.remarks if remark.cause is cause]
    if not told or symptom not in CATALOGUE[cause].explains:
        return None
    file = case.node.hosts_toml
    arguments = {"where": file, "file": file, "config_why": told[-1].text, "config_hint": f": {told[-1].text}"}
    return Verdict(cause, Stage.CONFIG, arguments=arguments)


def _only_certificates(facts: ConfigFacts) -> bool:
    """Whether what is lost could not have changed which hosts are asked."""
    path = PurePosixPath(facts.file)
    return path.name not in _HOSTS_FILES and path.suffix != ".conf"


def _config_verdict(cause: CauseId, result: StageResult, facts: ConfigFacts) -> Verdict:
    stage = Stage.RUNTIME if facts.fault is ConfigFault.REJECTED else Stage.CONFIG
    where = f"{facts.file}:{facts.line}" if facts.line is not None else facts.file
    arguments = {
        "where": where,
        "file": facts.file,
        "line": str(facts.line or ""),
        "config_why": facts.why,
        "config_hint": f": {where}: {facts.why}",
        "mend": facts.mend,
        "policy": f"{where}: {facts.why}",
    }
    return Verdict(cause, stage, None, result, arguments=arguments)


def storage_fails(case: Case) -> Verdict | None:
    """Read a filesystem that the runtime must write to and cannot."""
    for result in case.trace.results if case.trace is not None else ():
        facts = result.storage
        if result.outcome is not Outcome.FAILED or facts is None:
            continue
        cause = CauseId.READ_ONLY_FILESYSTEM if facts.read_only else CauseId.DISK_FULL
        return Verdict(cause, Stage.STORAGE, None, result, arguments=storage_arguments(result))
    return None


def space_lacks(case: Case) -> Verdict | None:
    """Read a filesystem with less room than the image's layers need, packed and unpacked."""
    results = case.trace.results if case.trace is not None else ()
    layers = max((r.manifest.layers_bytes for r in results if r.manifest is not None), default=0)
    for result in results:
        facts = result.storage
        if facts is not None and facts.free_bytes < max(facts.needed_bytes, 2 * layers):
            return Verdict(CauseId.DISK_FULL, Stage.STORAGE, None, result, arguments=storage_arguments(result))
    return None


def storage_arguments(result: StageResult) -> dict[str, str]:
    """Return the filesystem of `result` in words."""
    facts = result.storage
    if facts is None:
        return {}
    if facts.read_only:
        hint = f"{facts.path} ({facts.purpose}) is mounted read-only"
    elif facts.free_inodes == 0 and facts.total_inodes:
        hint = f"{facts.path} ({facts.purpose}) has no inodes left of {facts.total_inodes}"
    else:
        need = f", the image needs {mib(facts.needed_bytes)}" if facts.needed_bytes else ""
        hint = f"{facts.path} ({facts.purpose}) has {mib(facts.free_bytes)} free of {mib(facts.total_bytes)}{need}"
    return {"path": facts.path, "purpose": facts.purpose, "storage_hint": hint, "mount_hint": hint}


def mib(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1_048_576:.1f} MiB" if count < 10 * 1_073_741_824 else f"{count / 1_073_741_824:.1f} GiB"
