"""Remedies where the right to pull, or the number of pulls, must change."""

from __future__ import annotations

from pullwhy.diagnose.remedies.prescription import (
    SOURCE_FIRST,
    Builder,
    Command,
    Remedy,
    Values,
    check,
    joined,
    load_archive,
    quote,
    similar_names,
)

_HUB_KEY = "https://index.docker.io/v1/"
"""The key under which the kubelet looks up Docker Hub (kubelet 1.24 to 1.36: pkg/credentialprovider/keyring.go)."""

_NAMESPACED = "The secret must be in the pod's own namespace, of the type kubernetes.io/dockerconfigjson."

_PROVIDERS: dict[str, str] = {
    "aws": "ecr-credential-provider with the node's instance role (pull rights for the repository)",
    "azure": "acr-credential-provider with the node's managed identity (role AcrPull)",
    "google": "gcr-credential-provider with the node's service account (role Artifact Registry Reader)",
}


def server_key(values: Values) -> str:
    """Return the registry key that the kubelet matches for this image, not quoted."""
    return _HUB_KEY if values.is_one("registry", "docker.io") else values.raw("registry", "host", "REGISTRY")


def _secret(values: Values) -> tuple[Command, ...]:
    namespace = values.shell("namespace", "name", "NAMESPACE")
    name = values.raw("missing_secret", "name", "registry-pull-secret")
    create = (
        f"kubectl create secret docker-registry {quote(name)} --namespace={namespace} "
        f'--docker-server={quote(server_key(values))} --docker-username=USERNAME --docker-password="$PULL_PASSWORD" '
        f"--dry-run=client --output=yaml | kubectl apply --namespace={namespace} --filename=-"
    )
    account = (
        f"kubectl --namespace={namespace} patch serviceaccount SERVICE_ACCOUNT "
        """--patch '{"imagePullSecrets": [{"name": "registry-pull-secret"}]}'"""
    )
    made = (
        Command(
            "read -rs PULL_PASSWORD", "workstation", ("bash", "a password or token that may only pull; type it in")
        ),
        Command(create, "workstation", ("USERNAME: the account's name", "the right to create secrets there")),
    )
    if values.holds("missing_secret", "name"):
        return made  # the pod names it already
    needs = ("SERVICE_ACCOUNT: that of the pod; or name the secret in its imagePullSecrets",)
    return (*made, Command(account, "workstation", needs))


def _missing_secret(values: Values) -> str:
    if not values.text("missing_secret"):
        return ""
    return (
        f"The pod names the pull secret {values.text('missing_secret')}, which the kubelet could not get in the namespace "
        f"{values.text('namespace', 'of the pod')}: create it there under this name, or correct the name where the workload is defined."
    )


def _near_miss(values: Values) -> str:
    told = values.text("near_miss")
    return (
        f"A key that looks meant for this image does not fit it: {told}. The key that fits is {server_key(values)}."
        if told
        else ""
    )


_RECREATE = "Pods get a service account's secrets when they are created: recreate the pod after a change there."


_REREAD = "The kubelet reads the node's own file anew within five minutes: nothing needs a restart."
"""kubelet 1.24 to 1.36, pkg/credentialprovider/provider.go: the default provider's cache."""


def _add_credentials(values: Values) -> Remedy:
    if values.is_one("via", "SandboxImage"):
        return _sandbox_credentials(values)
    text = joined(
        _missing_secret(values),
        _near_miss(values),
        f"On this node {values.text('provider_state')}." if values.text("provider_state") else "",
        f"Give the workload credentials for {values.text('registry', 'the registry')} where it is defined: a pull secret under the key",
        f"{server_key(values)}, named in imagePullSecrets of the pod template or of its service account.",
        _NAMESPACED,
        _RECREATE,
        "If the image is meant to be public, check its name and the repository's visibility instead.",
    )
    return Remedy("add-credentials", text, _secret(values))


def _sandbox_credentials(values: Values) -> Remedy:
    text = joined(
        "The runtime pulls the sandbox image by itself, without the kubelet's credentials: name a sandbox image that needs none, or put",
        "it on the node with the node image.",
        SOURCE_FIRST,
    )
    preload = load_archive(values, "the sandbox image")
    return Remedy("add-credentials", joined(text, check(values)), (preload,), durable=False)


def _renew_credentials(values: Values) -> Remedy:
    source = values.text("source")
    here = f"The credentials came from {source}." if source else ""
    if not source and values.is_one("node_holds", "no"):
        here = "The node's own files hold none for this image: they came from the pod's imagePullSecrets, or an exec provider."
    text = joined(
        here,
        _public(values, source),
        _ended(values),
        f"The key that the kubelet matches is {server_key(values)}.",
        _REREAD if values.holds("source_file", "path") else _RECREATE,
    )
    namespace = values.shell("namespace", "name", "NAMESPACE")
    pod = values.shell("pod", "name", "POD")
    look = f"kubectl --namespace={namespace} get pod {pod} --output=jsonpath='{{.spec.imagePullSecrets}}'"
    return Remedy("renew-credentials", text, (Command(look, "workstation"), *_secret(values)))


def _public(values: Values, source: str) -> str:
    if not values.factor("CredentialsShadowPublicImage"):
        return ""
    which = "that entry" if source else "the secret from the pod's imagePullSecrets"
    return (
        "The image is public: the kubelet does not ask without credentials where some match, so that removing "
        f"{which}, or renewing it, mends it."
    )


def _ended(values: Values) -> str:
    """Tell an expired token from a wrong one."""
    expired, kind, lasts = values.text("expired"), values.text("lifetime"), values.text("lasts")
    what = f" It is {kind}." if kind else ""
    if expired:
        return (
            f"{_sentence(expired)}{what} Renew it where it is defined, and better use credentials that last: "
            "a robot or deploy token that may only pull, or the node's exec credential provider."
        )
    if lasts:
        return (
            f"By its own word the token lasts until {lasts}.{what} It is wrong, revoked, of another registry, or lacks the right "
            "to pull: replace it where it is defined."
        )
    return (
        "Renew the credentials where they are defined: they may be wrong, expired or revoked, or belong to another registry."
        + what
    )


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}." if clause else ""


def _mend_credential_provider(values: Values) -> Remedy:
    provider = next((text for key, text in _PROVIDERS.items() if values.is_one("provider", key)), "")
    state, error, name = (values.text(key) for key in ("provider_state", "provider_error", "provider_name"))
    text = joined(
        f"The provider{f' {name}' if name else ''} says: {error}." if error else "",
        f"The credentials that were refused came from {values.text('source')}." if values.text("source") else "",
        _sentence(values.text("expired")),
        f"On this node {state}." if state else "",
        _in_tree(values),
        f"This registry is served by the kubelet's exec credential provider: {provider}." if provider else "",
        "Check the kubelet's flags --image-credential-provider-config and --image-credential-provider-bin-dir, the binary and its",
        "execute bit, whether matchImages in that file covers the registry's host, and whether the node's identity may pull.",
        _missing_secret(values),
        "A static pull secret is no cure: its token expires within hours." if provider else "",
        SOURCE_FIRST,
    )
    commands = (
        Command("tr '\\0' '\\n' < /proc/$(pidof kubelet)/cmdline | grep image-credential-provider", "node", ("root",)),
        Command("journalctl --unit kubelet.service --since=-1h --grep='credential provider'", "node"),
    )
    return Remedy("mend-credential-provider", text, commands)


def _in_tree(values: Values) -> str:
    if not values.text("in_tree"):
        return ""
    return (
        f"Kubelets before {values.text('in_tree')} had this cloud's provider built in; this one ({values.text('kubelet_version')}) "
        "needs the exec provider."
    )


def _settle_access(values: Values) -> Remedy:
    service = values.text("service", "The registry")
    text = joined(
        _missing_secret(values),
        _near_miss(values),
        f"{service} gives the same answer for a repository that does not exist and for one that is closed. Two checks settle it:",
        "whether the name is spelled right (somebody who may read it can list its tags), and whether the pod's credentials, if any,",
        "may pull it.",
        similar_names(values),
        "Then correct the name where the workload is defined, or give the workload a pull secret under the key",
        f"{server_key(values)}.",
        _NAMESPACED,
    )
    registry, repository = values.raw("registry", "host", "REGISTRY"), values.raw("repository", "image", "REPOSITORY")
    listing = f"skopeo list-tags {quote(f'docker://{registry}/{repository}')}"
    needs = ("skopeo", "a login that may read the repository")
    return Remedy("settle-access", text, (Command(listing, "workstation", needs), *_secret(values)))


def _allow_source(values: Values) -> Remedy:
    text = joined(
        f"{values.text('host', 'The registry')} refuses this node's address, whoever asks; no secret changes that. Allow the node's egress",
        "address in the registry's firewall or endpoint policy; where there is a private endpoint, check that the registry's name",
        "resolves to it on this node (private DNS zone) and compare with a node that works.",
    )
    lookup = f"getent ahosts {values.shell('host', 'host', 'HOST')}"
    return Remedy("allow-source", text, (Command(lookup, "node", ("the same on a node that works, to compare",)),))


def _satisfy_policy(values: Values) -> Remedy:
    text = joined(
        f"{values.text('policy', 'A policy')} blocks the image.",
        "Mend what the policy objects to (vulnerabilities, a missing signature, quarantine), or have its owner change it.",
        "A rule in the runtime's own configuration is changed where the nodes' configuration comes from.",
    )
    return Remedy("satisfy-policy", text)


def _wait_for_rate_limit(values: Values) -> Remedy:
    until, limit, limited = values.text("until"), values.text("limit"), values.text("limited")
    by_address, by_account = limited.startswith("the source address"), limited.startswith("the account")
    text = joined(
        f"Wait until {until}: the registry itself names that time." if until else "",
        ""
        if until
        else "The registry names no time to wait until: the limit fills up again as the pulls that used it up grow old.",
        f"Its headers say: {limit}, {values.text('remaining', 'an unknown number')} left." if limit else "",
        f"It counts for {limited}." if limited else "",
        "All that go out through this address share it: compare it with the node's own way out." if by_address else "",
        "Every client of that account shares it: find which pull the most." if by_account else "",
        "To keep away from the limit, pull with an account of one's own, or through a pull-through cache, and spread mass restarts."
        if not by_account
        else "To keep away from the limit, pull through a pull-through cache, and spread mass restarts.",
        "Each try counts: the kubelet's back-off is long enough, more pulls by hand only lengthen the wait.",
    )
    return Remedy("wait-for-rate-limit", text, () if by_account else _secret(values))


def _raise_kubelet_qps(_values: Values) -> Remedy:
    text = joined(
        "It heals by itself: the kubelet's own limiter held the pull back, the registry was not asked. If it happens often, raise",
        "registryPullQPS and registryBurst in the KubeletConfiguration, and restart the kubelet.",
        SOURCE_FIRST,
    )
    look = Command("grep -E 'registryPullQPS|registryBurst' /var/lib/kubelet/config.yaml", "node", ("root",))
    again = Command("systemctl restart kubelet.service", "node", ("root", "the changed configuration"))
    return Remedy("raise-kubelet-qps", text, (look, again), restart_required=True)


def _give_pod_credentials(values: Values) -> Remedy:
    recorded = values.text("recorded")
    text = joined(
        f"The kubelet recorded that the image {recorded}; this pod brings no such credentials." if recorded else "",
        "The image is on the node, but not for every pod: the kubelet asks this one for credentials of its own.",
        _missing_secret(values),
        "Give the workload a pull secret that may read the image; the kubelet then verifies it and starts the pod.",
        _NAMESPACED,
        "An administrator may choose another imagePullCredentialsVerificationPolicy for all pods of the nodes.",
    )
    return Remedy("give-pod-credentials", text, _secret(values))


BUILDERS: dict[str, Builder] = {
    "add-credentials": _add_credentials,
    "renew-credentials": _renew_credentials,
    "mend-credential-provider": _mend_credential_provider,
    "settle-access": _settle_access,
    "allow-source": _allow_source,
    "satisfy-policy": _satisfy_policy,
    "wait-for-rate-limit": _wait_for_rate_limit,
    "raise-kubelet-qps": _raise_kubelet_qps,
    "give-pod-credentials": _give_pod_credentials,
}
