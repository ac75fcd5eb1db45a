"""One pod's life with the stand-in kubelet: sandbox, then every image, told in the kubelet's lines, tried again at its pace."""

import contextlib
import dataclasses
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from lab.kubelet import lines
from lab.kubelet.cri import CriError
from lab.kubelet.golang import aggregate
from lab.kubelet.klog import Entry
from lab.kubelet.pods import Backoff, Container, Credential, Pod, matching, with_default_tag
from lab.kubelet.rights import Rights

NODE_KEYRING = Path("/var/lib/kubelet/config.json")
RESYNC_SECONDS = 10.0
RESYNC_JITTER = 0.5
PLEG_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The stand-in's settings: the style of its lines, its pace, and the kubelet's own limits of pulls."""

    version: str = "1.31"
    log_format: str = "text"
    scale: float = 1.0
    """What all of the kubelet's waits are multiplied with."""
    serial: bool = False
    qps: float = 0
    """registryPullQPS; 0 is no limit. The kubelet's own default is 5, with a burst of 10."""
    burst: int = 10
    seed: int = 1
    verify: bool = False
    """Whether the right to use an image that is present is verified, as kubelets do from 1.35 on."""
    provider: str = ""
    """An exec credential provider that fails for every image of *provider_host*."""
    provider_host: str = ""


class CriClient(Protocol):
    """What a sync needs of the runtime."""

    def run_sandbox(self, pod: Pod) -> str: ...
    def present(self, image: str) -> bool: ...
    def pull(self, image: str, credential: Credential | None, pod: Pod) -> str: ...
    def create_container(self, sandbox: str, pod: Pod, name: str, image: str) -> None: ...


class TokenBucket:
    """The kubelet's limiter of pulls (client-go: util/flowcontrol/throttle.go); *qps* 0 lets all through."""

    def __init__(self, qps: float, burst: int, clock: Callable[[], float]) -> None:
        self._qps, self._burst, self._clock = qps, burst, clock
        self._tokens, self._filled = float(burst), clock()
        self._lock = threading.Lock()

    def accept(self) -> bool:
        """Take a token and return True, or return False when there is none."""
        if self._qps == 0:
            return True
        with self._lock:
            now = self._clock()
            self._tokens = min(float(self._burst), self._tokens + (now - self._filled) * self._qps)
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Puller:
    """What all pods of the node share: the runtime, the log, the back-off and the limits."""

    def __init__(
        self,
        settings: Settings,
        runtime: CriClient,
        log: Callable[[Sequence[Entry]], None],
        clock: Callable[[], float] = time.monotonic,
        keyring: Path = NODE_KEYRING,
    ) -> None:
        self.settings = settings
        self.style = lines.style(settings.version)
        self._runtime, self._log, self._clock, self._keyring = runtime, log, clock, keyring
        self._backoff = Backoff(10 * settings.scale, 300 * settings.scale)
        self._limiter = TokenBucket(settings.qps, settings.burst, clock)
        self._queue = threading.Lock()
        self._causes: dict[str, str] = {}
        self._created: set[tuple[str, str]] = set()
        self._random = random.Random(settings.seed)
        self._rights = Rights()

    def requeue_after(self) -> float:
        """Return after how many seconds a failed sync is tried again (pod_workers.go: backOffPeriod with jitter)."""
        return RESYNC_SECONDS * (1 + RESYNC_JITTER * self._random.random()) * self.settings.scale

    def sync(self, pod: Pod, sandboxes: dict[str, str]) -> bool:
        """Do one sync of the pod; return whether nothing failed. What failed is in the log."""
        self._log([lines.secret_missing(self.style, pod, name) for name in pod.missing_secrets])
        failures = self._sandbox(pod, sandboxes)
        if not failures:
            for group in (True, False):
                for container in [one for one in pod.containers if one.init == group]:
                    failure = self._start(pod, container, sandboxes[pod.uid])
                    if failure is not None:
                        failures.append(failure)
                if failures:
                    break
        if failures:
            self._log([lines.sync_failed(self.style, pod, failures)])
        return not failures

    def _sandbox(self, pod: Pod, sandboxes: dict[str, str]) -> list[lines.Failure]:
        if pod.uid in sandboxes:
            return []
        try:
            sandboxes[pod.uid] = self._runtime.run_sandbox(pod)
        except CriError as failed:
            self._log(lines.sandbox_failed(self.style, pod, failed.error))
            return [lines.sandbox_failure(pod, failed.error)]
        return []

    def _start(self, pod: Pod, container: Container, sandbox: str) -> lines.Failure | None:
        if (sandbox, container.name) in self._created:
            return None
        problem = self._ensure_image(pod, container)
        if problem is None:
            self._create(pod, container, sandbox)
            return None
        reason, message = problem
        failure = lines.Failure("StartContainer", container.name, reason, message)
        if reason != "ImagePullBackOff":
            self._log([lines.start_failed(self.style, pod, container, failure)])
        return failure

    def _create(self, pod: Pod, container: Container, sandbox: str) -> None:
        self._created.add((sandbox, container.name))
        # Whether a container of a made-up image can be made is no matter of pulling: CreateContainerError is not played.
        with contextlib.suppress(CriError):
            self._runtime.create_container(sandbox, pod, container.name, with_default_tag(container.image))

    def _ensure_image(self, pod: Pod, container: Container) -> tuple[str, str] | None:
        """Return reason and message of what keeps the image away, None when it is there (images/image_manager.go)."""
        try:
            image = with_default_tag(container.image, old_words=self.style.old_reference_words)
        except ValueError as error:
            return "InvalidImageName", str(error)
        policy = container.effective_policy
        if policy != "Always":
            try:
                if self._runtime.present(image) and self._allowed(image, pod):
                    return None
            except CriError as failed:
                return "ImageInspectError", f'Failed to inspect image "{container.image}": {failed.error}'
        if policy == "Never":
            return "ErrImageNeverPull", f'Container image "{container.image}" is not present with pull policy of Never'
        key = f"{pod.uid}_{container.image}"
        if self._backoff.active(key, self._clock()):
            cause = f": {self._causes[key]}" if self.style.backoff_tells_cause and key in self._causes else ""
            return "ImagePullBackOff", f'Back-off pulling image "{container.image}"{cause}'
        message = self._pull(pod, image)
        if message is None:
            return None
        self._backoff.failed(key, self._clock())
        self._causes[key] = f"ErrImagePull: {message}"
        return "ErrImagePull", message

    def _pull(self, pod: Pod, image: str) -> str | None:
        if not self.settings.serial:
            return self._pull_now(pod, image)
        with self._queue:
            return self._pull_now(pod, image)

    def _pull_now(self, pod: Pod, image: str) -> str | None:
        if not self._limiter.accept():
            return "pull QPS exceeded"
        fitting = [*matching(image, pod.credentials), *matching(image, self._node_credentials())]
        candidates: list[Credential | None] = list(fitting) or [None]
        messages = []
        if self.settings.provider and image.startswith(f"{self.settings.provider_host}/"):
            self._log([lines.provider_failed(self.style, self.settings.provider, image)])
        for credential in candidates:
            try:
                reference = self._runtime.pull(image, credential, pod)
            except CriError as failed:
                told = [lines.pull_failed(self.style, failed.error, image)]
                if credential is None:
                    told.append(lines.anonymous_pull_failed(self.style, failed.error, image))
                self._log(told)
                messages.append(failed.error.shown(self.style))
            else:
                if self.settings.verify:
                    self._rights.pulled(image, reference, credential, pod)
                return None
        return aggregate(messages)

    def _allowed(self, image: str, pod: Pod) -> bool:
        if not self.settings.verify:
            return True
        return self._rights.allow(
            image, [*matching(image, pod.credentials), *matching(image, self._node_credentials())]
        )

    def _node_credentials(self) -> list[Credential]:
        if not self._keyring.exists():
            return []
        auths = json.loads(self._keyring.read_text(encoding="utf-8")).get("auths", {})
        return [Credential(key, auth["username"], auth["password"]) for key, auth in auths.items()]
