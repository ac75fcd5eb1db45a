"""Who is who, as the settings say: the collector's certificates, the gate for agents, and access to the Kubernetes API."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Final

from pullwhy.collector.access.agents import CertificateGate, Gate, OpenGate, TokenGate
from pullwhy.collector.access.certificates import Certificates, Files, UnusableCertificate
from pullwhy.collector.access.readers import FileReaders, KubernetesReaders
from pullwhy.collector.api.asker import Who, by_token, everybody
from pullwhy.collector.denials import CannotTell, Denials
from pullwhy.collector.fleet import WholeStore
from pullwhy.collector.kubernetes.attendant import EVENTS_PER_SECOND, Attendant, Turn
from pullwhy.collector.kubernetes.directory import Directory
from pullwhy.collector.kubernetes.nodelabels import Change, NodeLabels
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.settings import CollectorSettings
from pullwhy.kubernetes import access
from pullwhy.kubernetes.client import Client

logger = logging.getLogger(__name__)

EVENTS_BUCKET: Final = "kubernetes/events"
"""Beside those of registries, of which none has a slash in its name."""
EVENTS_LONGEST_TURN: Final = 60.0
"""Seconds; a collector reserves one turn at a time, so this many would be a fault."""


def events_turn(store: WholeStore, cluster: str) -> Turn:
    """Return a bucket that all collectors of the store share."""

    async def turn() -> float | None:
        return await store.take_token(cluster, EVENTS_BUCKET, EVENTS_PER_SECOND, EVENTS_PER_SECOND, EVENTS_LONGEST_TURN)

    return turn


class BadSetting(Exception):
    """A setting cannot be followed; the text names it and the mend."""


class Identities:
    """Made from the settings; `open` it before the rest is asked for."""

    def __init__(self, settings: CollectorSettings) -> None:
        self._settings = settings
        self.certificates: Certificates | None = None
        self.client: Client | None = None
        self._readers_client: Client | None = None
        self.directory: Directory | None = None

    def open(self) -> None:
        """Read the certificates and find the API; raises BadSetting."""
        settings = self._settings
        self._check()
        try:
            self.certificates = _certificates(settings)
            if self._asks_kubernetes():
                found = access.find(settings.kubernetes, os.environ)
                # Two, because each bounds its requests: readers, who may be anybody, must not make agents wait.
                self.client, self._readers_client = Client(found), Client(found)
                self.directory = Directory(self.client, time.monotonic)
        except (UnusableCertificate, access.NoAccess) as error:
            raise BadSetting(str(error)) from error

    async def close(self) -> None:
        """Let go of the API."""
        for client in (self.client, self._readers_client):
            if client is not None:
                await client.close()

    def gate(self) -> Gate:
        """Return what lets agents in."""
        settings = self._settings
        if self.client is not None and self.directory is not None and settings.agent_auth == "kubernetes":
            namespace, _, name = settings.agent_service_account.partition("/")
            audience, cluster = settings.agent_audience, settings.agent_cluster
            return TokenGate(self.client, self.directory, audience, (namespace, name), cluster=cluster)
        return CertificateGate(settings.agent_cluster) if settings.agent_auth == "certificate" else OpenGate()

    def who(self) -> Who:
        """Return what tells who asks; raises BadSetting."""
        settings = self._settings
        if self._readers_client is not None and settings.reader_auth == "kubernetes":
            return by_token(KubernetesReaders(self._readers_client, settings.reader_audience))
        if settings.reader_auth == "file":
            try:
                return by_token(FileReaders(Path(settings.reader_tokens)))
            except CannotTell as error:
                raise BadSetting(str(error)) from error
        return everybody

    def attendant(self, metrics: Metrics, store: WholeStore) -> Attendant | None:
        """Return who looks after failing pods, where the settings ask for it."""
        if self.client is None or self.directory is None or not self._settings.kubernetes.pods:
            return None
        clock, settings = time.monotonic, self._settings
        return Attendant(
            self.client,
            self.directory,
            Denials(metrics.deny, clock),
            clock,
            cluster=settings.agent_cluster,
            leave_out=store.leave_out,
            turn=events_turn(store, settings.agent_cluster) if settings.kubernetes.events else None,
        )

    def node_labels(self, change: Change) -> NodeLabels | None:
        """Return who adds the nodes' labels, where the settings ask for them."""
        if self.directory is None or not self._settings.kubernetes.nodes:
            return None
        return NodeLabels(self.directory, self._settings.agent_cluster, change, time.monotonic)

    def _asks_kubernetes(self) -> bool:
        settings = self._settings
        api = settings.kubernetes
        return "kubernetes" in (settings.agent_auth, settings.reader_auth) or api.pods or api.nodes

    def _check(self) -> None:
        settings = self._settings
        if not settings.tls_certificate:
            for key, wanted in (
                ("tls_key", settings.tls_key),
                ("tls_client_ca", settings.tls_client_ca),
                ("http_tls", settings.http_tls),
                (f'agent_auth = "{settings.agent_auth}"', settings.agent_auth != "none"),
            ):
                if wanted:
                    raise BadSetting(f"{key} is set without tls_certificate: set tls_certificate too, or none of them")
        self._check_agents()
        if settings.reader_auth == "file" and not settings.reader_tokens:
            raise BadSetting('reader_auth = "file" needs reader_tokens, a file of [[readers]]')
        if settings.kubernetes.events and not settings.kubernetes.pods:
            raise BadSetting(
                "kubernetes.events needs kubernetes.pods: an Event is only written on a pod that was looked at"
            )
        if settings.kubernetes.events and settings.agent_auth == "none" and not _is_loopback(settings.grpc_listen):
            raise BadSetting(
                f'kubernetes.events with agent_auth = "none" would let whoever reaches {settings.grpc_listen} write their own '
                "text as Events on any pod: set agent_auth, or let grpc_listen be a loopback address"
            )

    def _check_agents(self) -> None:
        settings = self._settings
        if settings.agent_auth == "certificate" and not settings.tls_client_ca:
            raise BadSetting(
                'agent_auth = "certificate" needs tls_client_ca, the authorities that sign agents\' certificates'
            )
        if settings.agent_auth == "kubernetes":
            namespace, slash, name = settings.agent_service_account.partition("/")
            if not (namespace and slash and name and settings.agent_audience) or "/" in name:
                raise BadSetting(
                    'agent_auth = "kubernetes" needs agent_audience, and agent_service_account as NAMESPACE/NAME'
                )

    def warn(self) -> None:
        """Say in the log who may do what without showing who they are, where others than this machine can reach it."""
        settings = self._settings
        if settings.agent_auth == "none" and not _is_loopback(settings.grpc_listen):
            logger.warning(
                'agent_auth = "none": EVERYBODY who reaches %s may report findings for any node; set agent_auth',
                settings.grpc_listen,
            )
        if settings.reader_auth == "none" and not _is_loopback(settings.http_listen):
            logger.warning(
                'reader_auth = "none": EVERYBODY who reaches %s may see every finding and have nodes walk; set reader_auth',
                settings.http_listen,
            )


def _is_loopback(listen: str) -> bool:
    return listen.startswith(("127.", "[::1]:", "localhost:"))


def _certificates(settings: CollectorSettings) -> Certificates | None:
    if not settings.tls_certificate:
        return None
    authorities = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    return Certificates(Files(Path(settings.tls_certificate), Path(settings.tls_key), authorities))
