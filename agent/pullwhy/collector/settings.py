"""The collector's settings, each with its default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from pullwhy.config import Listen
from pullwhy.protocol import MAX_AGENTS

AgentAuth = Literal["none", "certificate", "kubernetes"]
ReaderAuth = Literal["none", "file", "kubernetes"]


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """The Kubernetes API; without it everything that does not need it works."""

    server: str = ""
    """`https://HOST:PORT`; empty: the cluster in which the collector is a pod."""
    ca: str = ""
    """File of the cluster's CA; empty: the pod's own."""
    token_file: str = ""
    """Read anew for each request; empty: the pod's own."""
    pods: bool = False
    """Read the pods that fail: their workload, and whether they are on the node that reports them."""
    nodes: bool = False
    """Read the nodes' labels, by which nodes are told apart."""
    events: bool = False
    """Write an Event on each failing pod; needs `pods`."""


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Read from TOML and `PULLWHY_*` by `config.load`."""

    grpc_listen: Listen = "0.0.0.0:9443"
    """Where agents report, `ADDRESS:PORT`; port 0 takes a free one."""
    http_listen: Listen = "0.0.0.0:8080"
    """Where people, programs and Prometheus ask."""
    database: str = "/var/lib/pullwhy/collector.db"
    """SQLite file, whose directory must be writable, or the URL of a PostgreSQL database, `postgresql://USER@HOST/NAME`."""
    database_password_file: str = ""
    """File of PostgreSQL's password, read for each connection; else it comes as libpq finds it (PGPASSWORD, PGPASSFILE)."""
    retention_days: Annotated[float, msgspec.Meta(gt=0, le=3650)] = 30.0
    """Findings and nodes that were not heard of for so long are forgotten."""
    database_mib: Annotated[int, msgspec.Meta(ge=16)] = 2048
    """Beyond this size the oldest findings are forgotten earlier, resolved ones first."""
    max_agents: Annotated[int, msgspec.Meta(ge=1)] = MAX_AGENTS
    """Agents connected at a time; connections are bounded at `max_agents`, a quarter more and a hundred."""
    second_opinions: Annotated[int, msgspec.Meta(ge=0, le=16)] = 6
    """How many other nodes are asked to walk an image that fails somewhere; 0 asks none, and scopes follow from counts alone."""
    second_opinion_seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 3.0
    """How long their answers are waited for; 15 at least where the fault is that something does not answer in time."""
    walks_per_second: Annotated[float, msgspec.Meta(gt=0, le=100)] = 2.0
    """How many nodes may walk to one registry, over the whole fleet, while an image fails on many."""
    walks_at_once: Annotated[float, msgspec.Meta(ge=1, le=1000)] = 5.0
    """How many of them at once after a silence."""
    tls_certificate: str = ""
    """File of the gRPC server's certificate chain; empty speaks plaintext."""
    tls_key: str = ""
    tls_client_ca: str = ""
    """File of the certificates that must have signed an agent's own; empty asks agents for none."""
    agent_auth: AgentAuth = "none"
    """How an agent shows which node it is on: not at all, by its certificate, or by its service account's token."""
    agent_cluster: str = ""
    """The cluster that agents must report whose credentials name none, as theirs have it in `cluster`; the Kubernetes API is of it."""
    agent_audience: str = "pullwhy"
    """Audience that agents' tokens must have."""
    agent_service_account: str = "pullwhy/pullwhy-agent"
    """`NAMESPACE/NAME` of the service account whose tokens agents must have."""
    reader_auth: ReaderAuth = "none"
    """How who asks shows who they are: not at all, by a token of a file, or by a token that the Kubernetes API knows."""
    reader_audience: str = ""
    """Audience that readers' tokens must have; empty: the API server's own."""
    reader_tokens: str = ""
    """File of the tokens for `reader_auth = "file"`, read anew when it changes."""
    http_tls: bool = False
    """Answer questions over TLS too, with the certificate of `tls_certificate`."""
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
