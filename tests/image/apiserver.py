"""The stand-in for the API server as the pods of a rendering meet it: on the lab's wire, with just the rights that the rendering grants."""

import itertools
import threading
from pathlib import Path
from typing import Any

from collector import minted
from collector.kubernetes.standin import StandIn, refusal

from image.deployed import Right, allows, granted

from lab.lab import Lab

READER = "token-of-jane-0001"
"""Who may see everything."""


class ApiServer(StandIn):
    """Gives pods tokens of their accounts, as the kubelet asks for them, and each account its rights."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._caller = threading.local()  # each connection has its thread
        self._accounts: dict[str, str] = {}
        self._numbers = itertools.count()
        self._rights: dict[str, set[Right]] = {}
        self.refused: set[Right] = set()
        super().__init__(folder, lab.servers.listen(lab.place("kubernetes.lab.test", 0).addresses[0]))
        self.token(READER, "jane")
        self.allowed.add(("jane", "get", "findings", ""))

    @property
    def services(self) -> dict[str, str]:
        """What the kubelet tells every pod of it."""
        return {"KUBERNETES_SERVICE_HOST": self.address, "KUBERNETES_SERVICE_PORT": str(self.port)}

    @property
    def given_out(self) -> list[str]:
        """Tokens of pods, each a secret."""
        return list(self._accounts)

    def grant(self, documents: list[dict[str, Any]]) -> None:
        """Let accounts do what these manifests let them, and nothing else."""
        for account in ("pullwhy-agent", "pullwhy-collector"):
            self._rights[f"pullwhy/{account}"] = granted(documents, account)

    def authority(self) -> bytes:
        """Return its CA, as PEM."""
        return Path(self.settings.ca).read_bytes()

    def request_token(self, account: str, audience: str, pod: tuple[str, str], node: str) -> str:
        """Return a token of a service account, bound to a pod and, as from Kubernetes 1.30 on, naming its node."""
        audiences = (audience or "https://kubernetes.default.svc",)
        made = minted.token(audience=audiences, number=next(self._numbers))
        user = f"system:serviceaccount:{account.replace('/', ':')}"
        self.token(made, user, *audiences, pod_name=pod[0], pod_uid=pod[1], node_name=node)
        self._accounts[made] = "" if audience else account
        return made

    def admits(self, authorization: str) -> bool:
        """Let in who has a token that is for the API server."""
        self._caller.account = self._accounts.get(authorization.removeprefix("Bearer "), "")
        return bool(self._caller.account)

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """Refuse what no role grants to who asks."""
        if not allows(self._rights[self._caller.account], method, path):
            self.refused.add(Right.of(method, path))
            return refusal(403, "Forbidden", f"{self._caller.account} may not {method} {path}")
        return super().answer(method, path, body)
