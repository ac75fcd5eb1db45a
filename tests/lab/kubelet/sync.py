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
from lab.kubelet.providers import Providers
from lab.kubelet.records import Records

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
    credential_providers: bool = False
    """Whether it is started with the flags that name exec credential providers."""


class CriClient(Protocol):
    """What a sync needs of the runtime."""

    def run_sandbox(self, pod: Pod) -> str: ...
    def present(self, image: str) -> str: ...
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
        records: Records | None = None,
    ) -> None:
        self.settings = settings
        self.style = lines.style(settings.version)
        self._runtime, self._log, self._clock, self._keyring = runtime, log, clock, keyring
        self._backoff = Backoff(10 * settings.scale, 300 * settings.scale)
        self._limiter = TokenBucket(settings.qps, settings.burst, clock)
        self._providers = Providers() if settings.credential_providers else None
        self._records = records if self.style.keeps_records else None
        self._queue = threading.Lock()
        self._causes: dict[str, str] = {}
        self._created: set[tuple[str, str]] = set()
        self._random = random.Random(settings.seed)

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
                found = self._runtime.present(image)
                if found and not (self._records and self._records.must_pull(image, found, pod.credentials)):
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
        provided, failures = self._providers.ask(image) if self._providers else ([], [])
        self._log([lines.provider_failed(self.style, failure) for failure in failures])
        own = (pod.credentials, self._node_credentials(), provided)
        fitting = [credential for source in own for credential in matching(image, source)]
        candidates: list[Credential | None] = list(fitting) or [None]
        messages = []
        for credential in candidates:
            try:
                reference = self._recorded_pull(image, credential, pod)
            except CriError as failed:
                told = [lines.pull_failed(self.style, failed.error, image)]
                if credential is None:
                    told.append(lines.anonymous_pull_failed(self.style, failed.error, image))
                self._log(told)
                messages.append(failed.error.shown(self.style))
            else:
                if self._records:
                    self._records.pulled(image, reference, pod, credential)
                return None
        return aggregate(messages)

    def _recorded_pull(self, image: str, credential: Credential | None, pod: Pod) -> str:
        if self._records is None:
            return self._runtime.pull(image, credential, pod)
        self._records.begin(image)
        try:
            return self._runtime.pull(image, credential, pod)
        finally:
            self._records.end(image)

    def _node_credentials(self) -> list[Credential]:
        if not self._keyring.exists():
            return []
        auths = json.loads(self._keyring.read_text(encoding="utf-8")).get("auths", {})
        return [Credential(key, auth["username"], auth["password"]) for key, auth in auths.items()]
