"""The kubelet's lines about a failing pull, entry by entry, as three of its generations write them."""

import dataclasses
from collections.abc import Sequence

from lab.errors import LabError
from lab.kubelet.golang import aggregate, container_dump, quote
from lab.kubelet.klog import Entry, ObjectRef
from lab.kubelet.pods import Container, Pod
from lab.kubelet.providers import ProviderFailure


@dataclasses.dataclass(frozen=True, slots=True)
class Style:
    """What differs between generations: the sources of the lines, and how a failed start is told."""

    pull: str
    run_sandbox: str
    failed_pull: str
    start_failed: str
    sandbox: str
    sandbox_manager: str
    sync: str
    secrets: str
    provider: str
    start: str
    version: str
    structured: bool
    dumps: bool
    strips_unknown: bool
    old_reference_words: bool
    restart_policy: bool
    backoff_tells_cause: bool
    names_provider: bool
    keeps_records: bool


STYLES = {
    "1.27": Style(
        pull="remote_image.go:167",
        run_sandbox="remote_runtime.go:176",
        failed_pull="kuberuntime_image.go:53",
        start_failed="kuberuntime_manager.go:1222",
        sandbox="kuberuntime_sandbox.go:72",
        sandbox_manager="kuberuntime_manager.go:1122",
        sync="pod_workers.go:1300",
        secrets="kubelet_pods.go:906",
        provider="plugin.go:408",
        start="server.go:415",
        version="v1.27.7",
        structured=False,
        dumps=True,
        strips_unknown=False,
        old_reference_words=True,
        restart_policy=False,
        backoff_tells_cause=False,
        names_provider=False,
        keeps_records=False,
    ),
    "1.31": Style(
        pull="log.go:32",
        run_sandbox="log.go:32",
        failed_pull="kuberuntime_image.go:55",
        start_failed="kuberuntime_manager.go:1274",
        sandbox="kuberuntime_sandbox.go:72",
        sandbox_manager="kuberuntime_manager.go:1170",
        sync="pod_workers.go:1301",
        secrets="kubelet_pods.go:1010",
        provider="plugin.go:440",
        start="server.go:491",
        version="v1.31.14",
        structured=True,
        dumps=True,
        strips_unknown=True,
        old_reference_words=False,
        restart_policy=True,
        backoff_tells_cause=False,
        names_provider=False,
        keeps_records=False,
    ),
    "1.36": Style(
        pull="remote_image.go:250",
        run_sandbox="remote_runtime.go:237",
        failed_pull="kuberuntime_image.go:43",
        start_failed="kuberuntime_manager.go:1727",
        sandbox="kuberuntime_sandbox.go:71",
        sandbox_manager="kuberuntime_manager.go:1483",
        sync="pod_workers.go:1324",
        secrets="kubelet_pods.go:1097",
        provider="plugin.go:474",
        start="server.go:545",
        version="v1.36.2",
        structured=True,
        dumps=False,
        strips_unknown=True,
        old_reference_words=False,
        restart_policy=True,
        backoff_tells_cause=True,
        names_provider=True,
        keeps_records=True,
    ),
}
"""The styles by kubelet version, from recordings of 1.27.7, 1.31.14 and 1.36.2; those of sandboxes, secrets and providers from source."""


def style(version: str) -> Style:
    """Return the style of a kubelet version; raises LabError naming those there are."""
    if version not in STYLES:
        raise LabError(f"no kubelet style {version!r}: {', '.join(STYLES)}")
    return STYLES[version]


@dataclasses.dataclass(frozen=True, slots=True)
class RpcError:
    """An error answer over CRI: the name of its code, in Go's spelling, and its message."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"rpc error: code = {self.code} desc = {self.message}"

    def shown(self, kind: "Style") -> str:
        """Return the text as the kubelet hands it on: from 1.28 without a code that says nothing (remote_image.go)."""
        return self.message if self.code == "Unknown" and kind.strips_unknown else str(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """One failed action of a sync: "StartContainer" for a container, "CreatePodSandbox" for a pod."""

    action: str
    target: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"failed to {quote(self.action)} for {quote(self.target)} with {self.reason}: {quote(self.message)}"


def secret_missing(kind: Style, pod: Pod, secret: str) -> Entry:
    """Return the line about a pull secret that is not there; it names the secret in its error only."""
    pairs: list[tuple[str, str | ObjectRef]] = [("pod", ObjectRef(pod.namespace, pod.name)), ("secret", "")]
    pairs.append(("err", f"secret {quote(secret)} not found"))
    text = "Unable to retrieve pull secret, the image pull may not succeed."
    return Entry("I", kind.secrets, text, pairs=pairs)


def started(kind: Style) -> Entry:
    """Return the line in which the kubelet tells its version (cmd/kubelet/app/server.go)."""
    return Entry("I", kind.start, "Kubelet version", pairs=[("kubeletVersion", kind.version)])


def provider_failed(kind: Style, failure: ProviderFailure) -> Entry:
    """Return the line about an exec credential provider: unstructured up to 1.34, with keys from 1.35 on (plugin.go)."""
    if kind.names_provider:
        about: list[tuple[str, str | ObjectRef]] = [("provider", failure.provider), ("image", failure.image)]
        return Entry("E", kind.provider, "Failed to provide credentials for image", failure.error, about)
    text = f"Failed getting credential from external registry credential provider: {failure.error}"
    return Entry("E", kind.provider, text.rstrip("\n"), raw=True)


def pull_failed(kind: Style, error: RpcError, image: str) -> Entry:
    """Return the line of the CRI client, once for each credential tried."""
    return Entry("E", kind.pull, "PullImage from image service failed", str(error), [("image", image)])


def anonymous_pull_failed(kind: Style, error: RpcError, image: str) -> Entry:
    """Return the line that is written only where no credential matched."""
    return Entry("E", kind.failed_pull, "Failed to pull image", error.shown(kind), [("image", image)])


def start_failed(kind: Style, pod: Pod, container: Container, failure: Failure) -> Entry:
    """Return the line about the container's failed start; ImagePullBackOff has none at the usual verbosity."""
    subject = container.name
    if kind.dumps:
        subject = container_dump(
            container.name,
            container.image,
            container.effective_policy,
            container.environment,
            restart_policy=kind.restart_policy,
        )
    sort = "init container" if container.init else "container"
    text = f"{sort} {subject} start failed in pod {pod.long_name}: {failure.reason}: {failure.message}"
    if not kind.structured:
        return Entry("E", kind.start_failed, text, raw=True)
    return Entry("E", kind.start_failed, "Unhandled Error", text, logger="UnhandledError")


def sandbox_failed(kind: Style, pod: Pod, error: RpcError) -> list[Entry]:
    """Return the three lines before the last when the sandbox cannot be made."""
    about: list[tuple[str, str | ObjectRef]] = [("pod", ObjectRef(pod.namespace, pod.name))]
    return [
        Entry("E", kind.run_sandbox, "RunPodSandbox from runtime service failed", str(error)),
        Entry("E", kind.sandbox, "Failed to create sandbox for pod", str(error), about),
        Entry("E", kind.sandbox_manager, "CreatePodSandbox for pod failed", str(error), about),
    ]


def sandbox_failure(pod: Pod, error: RpcError) -> Failure:
    """Return the failure of a sync whose sandbox could not be made."""
    message = f"Failed to create sandbox for pod {quote(pod.long_name)}: {error}"
    return Failure("CreatePodSandbox", pod.long_name, "CreatePodSandboxError", message)


def sync_failed(kind: Style, pod: Pod, failures: Sequence[Failure]) -> Entry:
    """Return the last line of a failed sync: the only one that has the pod, its UID and every failure."""
    pairs: list[tuple[str, str | ObjectRef]] = [("pod", ObjectRef(pod.namespace, pod.name)), ("podUID", pod.uid)]
    text = aggregate([str(failure) for failure in failures])
    return Entry("E", kind.sync, "Error syncing pod, skipping", text, pairs)
