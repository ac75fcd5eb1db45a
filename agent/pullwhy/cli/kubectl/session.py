"""One run of `kubectl pullwhy`: the kubeconfig's choice, the way to the collector, and who asks."""

from __future__ import annotations

import argparse
import os
import sys
from functools import cached_property
from types import TracebackType
from typing import Final, Self

from pullwhy.cli.client import checked_token, token_in
from pullwhy.cli.kubectl import kubeconfig
from pullwhy.cli.kubectl.credential import Credential, of_user
from pullwhy.cli.kubectl.kubeconfig import Chosen
from pullwhy.cli.kubectl.options import handed_on, seconds
from pullwhy.cli.kubectl.program import Kubectl, terminal
from pullwhy.cli.kubectl.reaching import Identity, Reaching
from pullwhy.cli.kubectl.tunnel import Tunnel
from pullwhy.secret import Secret
from pullwhy.text import printable

TOKEN_MINUTES: Final = 10
"""The shortest life that the API server gives a token (kubernetes 1.34: pkg/apis/authentication/validation/validation.go)."""


class Session:
    """What the options ask for; a context manager, at whose end no child is left."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Raise CommandError where there is no kubectl."""
        self._options = options
        self.kubectl = Kubectl(handed_on(options), terminal=terminal())
        self.tunnel = Tunnel(self.kubectl, options.pullwhy_namespace)
        self.identity = Identity(self._credential)

    @cached_property
    def chosen(self) -> Chosen:
        """What the kubeconfig says; raises CommandError."""
        document = self.kubectl.ask("config", "view", "--raw", "--output=json")
        given = self._options
        return kubeconfig.choose(
            document, context=given.kube_context or "", cluster=given.kube_cluster or "", user=given.kube_user or ""
        )

    @property
    def has_cluster(self) -> bool:
        """Whether kubectl is told of a cluster: by the kubeconfig, an option, or the pod that it runs in; raises CommandError."""
        chosen = self.chosen
        named = chosen.context or chosen.cluster.server or self._options.kube_server
        return bool(named or os.environ.get("KUBERNETES_SERVICE_HOST"))

    @property
    def namespace(self) -> str:
        """The namespace for what is in one: the option's, or the context's; raises CommandError."""
        return str(self._options.kube_namespace or self.chosen.namespace)

    def client(self) -> Reaching:
        """Return a client, with its tunnel open; raises CommandError."""
        return Reaching(self.tunnel, self.identity, seconds(self._options.kube_request_timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tunnel.close()

    def _credential(self) -> Credential:
        given, variable = self._options, os.environ.get("PULLWHY_TOKEN", "")
        if file := getattr(given, "token_file", None):
            return Credential(token_in(file), f"the token in {printable(str(file), 300)}")
        if given.token_from:
            return self._made(*given.token_from)
        if variable:
            return Credential(checked_token(variable, "PULLWHY_TOKEN"), "PULLWHY_TOKEN")
        if given.kube_as:
            return Credential(Secret(""), "with --as your own token is not shown, which would tell who you are")
        bases = kubeconfig.folders(given.kube_kubeconfig or "", os.environ)
        return of_user(self.chosen, bases, os.environ, terminal=sys.stdin is not None and sys.stdin.isatty())

    def _made(self, namespace: str, name: str) -> Credential:
        where = namespace or self.namespace
        words = ["create", "token", f"--namespace={where}", f"--duration={TOKEN_MINUTES}m", name]
        if audience := self._options.token_audience:
            words.append(f"--audience={audience}")
        token = self.kubectl.ask(*words).decode(errors="replace")
        return Credential(
            checked_token(token, "what `kubectl create token` printed"), f"a token of serviceaccount/{where}/{name}"
        )
