"""Rules over who may have the image: providers that failed, secrets that are not there, images that are not for every pod."""

from __future__ import annotations

from collections.abc import Iterator

from pullwhy.access import API_SOURCE, CredentialFacts, Providers, PullRecord
from pullwhy.diagnose.case import Case
from pullwhy.diagnose.catalogue.causes import ACCESS
from pullwhy.diagnose.registries import service_of
from pullwhy.diagnose.rules.identity import credentials_sent, is_sandbox
from pullwhy.diagnose.rules.local import kubelet_minor, record_arguments
from pullwhy.diagnose.rules.verdict import Verdict
from pullwhy.model import CauseId, Evidence, HintKind, KubeletHint, Reason, Stage
from pullwhy.pulltext import says_expired

_UNSETTLED = frozenset({CauseId.CREDENTIALS_MISSING, CauseId.ACCESS_DENIED_OR_NOT_FOUND})
"""Refusals that a pod's own credentials may mend."""
_PULLING = frozenset({Reason.ERR_IMAGE_PULL, Reason.IMAGE_PULL_BACK_OFF})
_REMOVED = {"aws": 27, "azure": 30, "google": 31}
"""First minor of kubelet 1 without the cloud's in-tree provider (kubernetes: pkg/credentialprovider/{aws,azure,gcp}, since gone)."""
_SHOWN = 3


def credential_facts(case: Case) -> CredentialFacts | None:
    """Return what the kubelet's files offer for the image; None where nobody looked."""
    results = case.trace.results if case.trace is not None else ()
    return next((result.access for result in results if result.access is not None), None)


def hints(case: Case, kind: HintKind) -> tuple[KubeletHint, ...]:
    """Return what the kubelet said of that kind before this failure, the oldest first."""
    return tuple(hint for hint in case.failure.hints if hint.kind is kind) if case.failure is not None else ()


def provider_failure(case: Case) -> KubeletHint | None:
    """Return the kubelet's word on its exec provider for this image; one that names no image counts where a provider serves it."""
    facts = credential_facts(case)
    serves = facts is not None and bool(facts.providers.serving)
    told = [each for each in hints(case, HintKind.CREDENTIAL_PROVIDER_FAILED) if each.image or serves]
    return told[-1] if told and credentials_sent(case) is not True else None


def provider_verdict(hint: KubeletHint) -> Verdict:
    """Return the cause that a provider's failure is, with its own error."""
    error = hint.message.partition(": ")[2] or hint.message
    arguments = {"provider_name": hint.provider, "provider_error": error, "provider_hint": f": {error}"}
    return Verdict(CauseId.CREDENTIAL_PROVIDER_FAILED, Stage.AUTH, arguments=arguments)


def verification_denied(case: Case) -> Verdict | None:
    """Read a refused pull of an image that is present and that the kubelet does not give to every pod (kubelet 1.33 and later).

    The record is local proof that this pod must bring credentials. A pod with the policy Always would need the same ones; where the
    tag makes that policy the default (`latest`), the refusal itself is the cause.
    """
    record, told = case.pull_record, case.hypothesis
    if record is None or not record.verifies or case.failure is None or case.failure.reason not in _PULLING:
        return None
    if told is None or told.cause not in _UNSETTLED or credentials_sent(case) is True:
        return None
    if policy_defaults_to_always(case) or provider_failure(case) is not None:
        return None
    doubt = "" if record.file else "only a pull that was begun is recorded"
    return Verdict(
        CauseId.CREDENTIAL_VERIFICATION_DENIED, Stage.KUBELET, doubt=doubt, arguments=record_arguments(record)
    )


def _concerns_credentials(case: Case, found: Verdict) -> bool:
    """Whether the kubelet's credentials have a part in it; the runtime pulls the sandbox image without them."""
    refused = found.cause in ACCESS or found.cause is CauseId.CREDENTIAL_VERIFICATION_DENIED
    return refused and not is_sandbox(case)


def policy_defaults_to_always(case: Case) -> bool:
    """Whether the API server makes Always the pull policy unless the pod says otherwise (apis/core/v1: defaults.go)."""
    return case.image is None or case.image.tag == "latest"


def access_arguments(case: Case, found: Verdict) -> dict[str, str]:
    """Return what is known of this image's credentials, for the remedies of refusals."""
    if not _concerns_credentials(case, found):
        return {}
    missing = [hint.secret for hint in hints(case, HintKind.PULL_SECRET_UNAVAILABLE) if hint.secret]
    name = missing[-1].rpartition("/")[2] if missing else ""
    values = {
        "missing_secret": name,
        "secret_hint": f"; the kubelet could not get the pull secret {name}" if name else "",
    }
    facts = credential_facts(case)
    if facts is not None:
        values["near_miss"] = "; ".join(facts.near_misses[:_SHOWN])
        values |= _provider_arguments(case, facts.providers)
        values["node_holds"] = "yes" if facts.sources else "no"
    message = case.failure.message if case.failure is not None else ""
    if found.cause is CauseId.CREDENTIALS_REJECTED and "expired" not in found.arguments and says_expired(message):
        values["expired"] = "the registry says that the token has expired"
    return values


def _provider_arguments(case: Case, providers: Providers) -> dict[str, str]:
    cloud = service_of(case.image.registry if case.image is not None else "").provider
    minor = kubelet_minor(case.node.kubelet_version)
    first = _REMOVED.get(cloud)
    values = {"provider_state": provider_state(providers) if cloud or providers.config else ""}
    if first is not None and minor is not None and minor >= (1, first):
        values["in_tree"] = f"1.{first}"
        values["kubelet_version"] = case.node.kubelet_version
    if providers.serving:
        values["provider_serves"] = providers.serving[0].name
    return values


def provider_state(providers: Providers) -> str:
    """Return in a sentence what the kubelet's exec providers are for this image; empty where that is not known."""
    if not providers.config:
        return "the kubelet's flags name no exec credential provider" if providers.known else ""
    if providers.unseen:
        return f"the providers' configuration {providers.config} could not be looked at: {providers.unseen}"
    if providers.fault:
        return f"the providers' configuration {providers.config} cannot be used: {providers.fault}"
    broken = next((each for each in providers.serving if each.fault), None)
    if broken is not None:
        return f"the provider {broken.name} covers this image, but its binary cannot be run: {broken.fault}"
    if providers.serving:
        return f"the provider {providers.serving[0].name} of {providers.config} covers this image"
    has = f"; it has {', '.join(providers.patterns[:_SHOWN])}" if providers.patterns else ""
    return f"no matchImages of {providers.config} covers this image{has}"


def access_evidence(case: Case, found: Verdict) -> Iterator[Evidence]:
    """Yield what speaks about credentials, for refusals only: elsewhere it would lead astray."""
    record = case.pull_record
    if record is not None and (record.verifies or _concerns_credentials(case, found)):
        yield from _recorded(record)
    if not _concerns_credentials(case, found):
        return
    yield from _said(case)
    facts = credential_facts(case)
    if facts is None or found.cause is CauseId.SOURCE_DENIED:
        return
    for miss in facts.near_misses[:_SHOWN]:
        yield Evidence(Stage.AUTH, miss, "node files")
    for source in facts.sources[:_SHOWN]:
        yield Evidence(Stage.AUTH, f"the kubelet has credentials for this image: {source}", "node files")
    for line in facts.pull_secrets:
        yield Evidence(Stage.AUTH, line, API_SOURCE)
    if facts.providers.config or service_of(case.image.registry if case.image is not None else "").provider:
        yield Evidence(Stage.AUTH, provider_state(facts.providers), facts.providers.config or "node files")


def _said(case: Case) -> Iterator[Evidence]:
    for hint in hints(case, HintKind.CREDENTIAL_PROVIDER_FAILED):
        yield Evidence(Stage.AUTH, hint.message, case.log)
    for hint in hints(case, HintKind.PULL_SECRET_UNAVAILABLE):
        name = f" {hint.secret}" if hint.secret else ""
        yield Evidence(Stage.AUTH, f"the kubelet could not get the pull secret{name}: {hint.message}", case.log)
    for hint in hints(case, HintKind.PULL_RECORDS_UNREADABLE):
        yield Evidence(
            Stage.KUBELET, f"the kubelet cannot read its records of pulls, so it pulls again: {hint.message}", case.log
        )
    tries = case.failure.tries if case.failure is not None else 0
    if tries > 1:
        yield Evidence(Stage.AUTH, f"the kubelet tried {tries} credentials, one after the other", case.log)


def _recorded(record: PullRecord) -> Iterator[Evidence]:
    if record.fault:
        yield Evidence(Stage.KUBELET, f"the kubelet's record of this image is not known: {record.fault}", "node files")
        return
    fact = f"the kubelet recorded that this image {record_arguments(record)['recorded']} (policy {record.policy})"
    yield Evidence(Stage.KUBELET, fact, record.file or "node files")
