"""Reads named pull secrets from the Kubernetes API, at the time of a walk and for that walk only: nothing of them is kept here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pullwhy.runtime.kubelet.credentials import PullSecret, read_pull_secret

if TYPE_CHECKING:
    from pullwhy.kubernetes.client import Client

REQUEST_SECONDS: Final = 2.0
"""One try to read a Secret."""
PATIENCE_SECONDS: Final = 4.0
"""All tries for one; the Secrets of a namespace are read at the same time, and the walk waits for them."""
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


class PullSecrets:
    """The Secrets that the settings name, each for pods of its own namespace."""

    def __init__(
        self,
        names: Iterable[str],
        environment: Mapping[str, str],
        impaired: Callable[[str, str], None],
        service_account: Path | None = None,
    ) -> None:
        """`impaired` is told what is wrong with a Secret, empty where nothing is; `service_account` is where the pod's token lies."""
        self._names = tuple(dict.fromkeys(names))
        self._environment, self._impaired, self._folder = environment, impaired, service_account

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that have any."""
        return frozenset(name.partition("/")[0] for name in self._names)

    async def of(self, namespace: str) -> tuple[PullSecret, ...]:
        """Return the Secrets of a namespace, each with its fault where it cannot be read; raises nothing."""
        names = [name for name in self._names if name.partition("/")[0] == namespace]
        if not names:
            return ()
        found = await self._read(names)
        for secret in found:
            trouble = f"the pull secret {secret.name} is not used: it {secret.fault}" if secret.fault else ""
            self._impaired(f"pull secret {secret.name}", trouble)
        return found

    async def _read(self, names: list[str]) -> tuple[PullSecret, ...]:
        # Loaded here: most agents read none, and none at its start.
        from pullwhy.kubernetes.access import SERVICE_ACCOUNT, NoAccess, in_cluster  # noqa: PLC0415
        from pullwhy.kubernetes.client import Client  # noqa: PLC0415

        try:
            access = in_cluster(self._environment, self._folder or SERVICE_ACCOUNT)
            client = Client(access, request_seconds=REQUEST_SECONDS, patience_seconds=PATIENCE_SECONDS)
        except NoAccess as error:
            return tuple(PullSecret(name, f"cannot be read: {error}") for name in names)
        try:
            return tuple(await asyncio.gather(*(_one(client, name) for name in names)))
        finally:
            await client.close()


async def _one(client: Client, name: str) -> PullSecret:
    from pullwhy.kubernetes.client import APIError  # noqa: PLC0415 - see above

    namespace, _, own = name.partition("/")
    try:
        document = await client.get(f"/api/v1/namespaces/{namespace}/secrets/{own}", dict[str, Any])
    except APIError as error:
        if error.status == _NOT_FOUND:
            return PullSecret(name, "does not exist; the agent's `pull_secrets` names it")
        mend = "; the agent's service account needs the right to get it" if error.status == _FORBIDDEN else ""
        return PullSecret(name, f"cannot be read: {error}{mend}")
    return read_pull_secret(name, document)
