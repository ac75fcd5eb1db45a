"""What the API knows of a failing pod or of a node: asked for one by one when it is needed, never watched, kept for a while."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from pullwhy.collector.remembered import Remembered
from pullwhy.kubernetes.client import APIError, Client
from pullwhy.text import printable

logger = logging.getLogger(__name__)

T = TypeVar("T")

KEPT_SECONDS: Final = 600.0
ABSENT_SECONDS: Final = 15.0
"""How long it is believed that something is not there."""
FORBIDDEN_SECONDS: Final = 300.0
"""How long a kind that may not be read is left alone."""
MOST: Final = 20_000
MAX_FACT: Final = 500
MAX_OWNER: Final = 400
"""Characters of a workload's kind and name; a name has 253 at most."""
MIRROR: Final = "kubernetes.io/config.mirror"
"""On the API's copy of a static pod: the uid by which its kubelet knows it (kubelet 1.34: pkg/kubelet/types/pod_update.go)."""

_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?\Z")
_PARENTS: Final = {
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets/{}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
}
"""Owners that are themselves owned by what people wrote: Deployments and CronJobs."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as the API has it."""

    namespace: str
    name: str
    uid: str
    """As its kubelet knows it."""
    node: str
    api_uid: str = ""
    """Another than `uid` where the pod is static."""
    owner: str = ""
    """Kind and name of the workload, `Deployment/web`; empty where nothing owns it."""
    policies: Mapping[str, str] = field(default_factory=dict)
    """imagePullPolicy by container."""
    init: frozenset[str] = frozenset()
    """Those of its containers that are init containers."""
    pull_secrets: tuple[str, ...] = ()
    """Names: what they hold is not read."""
    service_account: str = ""

    def pulls(self, container: str) -> str:
        """Return in words how a container's image is pulled; empty where the pod has no such container."""
        if container not in self.policies:
            return ""
        secrets = ", ".join(self.pull_secrets) or "none"
        policy = self.policies[container] or "its default"
        told = f"pod {self.namespace}/{self.name}: imagePullPolicy {policy}, imagePullSecrets {secrets}"
        return printable(f"{told}, service account {self.service_account or 'default'}", MAX_FACT)


class _Owner(msgspec.Struct):
    kind: str
    name: str
    controller: bool = False


class _Meta(msgspec.Struct, rename="camel"):
    uid: str = ""
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    owner_references: tuple[_Owner, ...] | None = None

    def controller(self) -> _Owner | None:
        return next((each for each in self.owner_references or () if each.controller), None)


class _Container(msgspec.Struct, rename="camel"):
    name: str
    image_pull_policy: str = ""


class _Reference(msgspec.Struct):
    name: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str = ""
    containers: tuple[_Container, ...] = ()
    init_containers: tuple[_Container, ...] | None = None
    image_pull_secrets: tuple[_Reference, ...] | None = None
    service_account_name: str = ""


class _Pod(msgspec.Struct):
    metadata: _Meta
    spec: _Spec


class _Object(msgspec.Struct):
    metadata: _Meta


class Directory:
    """Looks pods, workloads and nodes up; one for all who ask."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._pods: Remembered[tuple[str, str], Pod | bool] = Remembered(MOST, clock)
        self._owners: Remembered[str, str] = Remembered(MOST, clock)
        self._labels: Remembered[str, dict[str, str]] = Remembered(MOST, clock)
        self._forbidden: Remembered[str, bool] = Remembered(16, clock)

    def known(self, namespace: str, name: str, uid: str) -> Pod | None:
        """Return the pod where it was looked up a while ago; nothing is asked."""
        pod = self._pods.get((namespace, name))
        return pod if isinstance(pod, Pod) and pod.uid == uid else None

    def elsewhere(self, namespace: str, name: str, node: str) -> bool:
        """Return whether a pod of this name, whatever its uid, was found on another node a while ago; nothing is asked."""
        pod = self._pods.get((namespace, name))
        return isinstance(pod, Pod) and bool(pod.node) and pod.node != node

    async def pod(self, namespace: str, name: str, uid: str) -> Pod | None:
        """Return the pod; None where there is none of this name and uid. Raises APIError where that cannot be said."""
        if not (_NAME.match(namespace) and _NAME.match(name)):
            return None
        known = self._pods.get((namespace, name))
        if known is None or (isinstance(known, Pod) and known.uid != uid):
            known = await self._look_up(namespace, name)
            # One that is there may give way to another of its name; one that is not may come.
            lasts = isinstance(known, Pod) and known.uid == uid
            self._pods.put((namespace, name), known, KEPT_SECONDS if lasts else ABSENT_SECONDS)
        return known if isinstance(known, Pod) and known.uid == uid else None

    async def labels(self, node: str) -> dict[str, str]:
        """Return a node's labels, none where it is not there or may not be read."""
        if not _NAME.match(node):
            return {}
        labels = self._labels.get(node)
        if labels is None:
            try:
                found = await self._read("nodes", f"/api/v1/nodes/{node}", _Object)
                labels, seconds = found.metadata.labels or {}, KEPT_SECONDS
            except APIError:
                labels, seconds = {}, ABSENT_SECONDS
            self._labels.put(node, labels, seconds)
        return labels

    async def _look_up(self, namespace: str, name: str) -> Pod | bool:
        try:
            found = await self._read("pods", f"/api/v1/namespaces/{namespace}/pods/{name}", _Pod)
        except APIError as error:
            if error.status == 404:  # noqa: PLR2004 - Not Found
                return False
            raise
        metadata, spec = found.metadata, found.spec
        init = spec.init_containers or ()
        return Pod(
            namespace,
            name,
            (metadata.annotations or {}).get(MIRROR, metadata.uid),
            spec.node_name,
            metadata.uid,
            printable(await self._workload(namespace, metadata.controller()), MAX_OWNER),
            {each.name: each.image_pull_policy for each in (*spec.containers, *init)},
            frozenset(each.name for each in init),
            tuple(each.name for each in spec.image_pull_secrets or ()),
            spec.service_account_name,
        )

    async def _workload(self, namespace: str, owner: _Owner | None) -> str:
        """Return what people wrote: of a ReplicaSet its Deployment, of a Job its CronJob, where there is one."""
        if owner is None:
            return ""
        direct = f"{owner.kind}/{owner.name}"
        if owner.kind not in _PARENTS or not _NAME.match(owner.name):
            return direct
        path = _PARENTS[owner.kind].format(namespace, owner.name)
        workload = self._owners.get(path)
        if workload is None:
            try:
                above = (await self._read(f"{owner.kind}s".lower(), path, _Object)).metadata.controller()
                workload, seconds = (f"{above.kind}/{above.name}" if above else direct), KEPT_SECONDS
            except APIError:
                workload, seconds = direct, ABSENT_SECONDS
            self._owners.put(path, workload, seconds)
        return workload

    async def _read(self, what: str, path: str, kind: type[T]) -> T:
        if self._forbidden.get(what):
            raise APIError(403, f"the collector may not read {what}")
        try:
            return await self._client.get(path, kind)
        except APIError as error:
            if error.status == 403:  # noqa: PLR2004 - Forbidden
                logger.warning("the collector may not read %s (grant it the verb get): %s", what, error)
                self._forbidden.put(what, value=True, seconds=FORBIDDEN_SECONDS)
            raise
