"""What agent and collector must agree on besides the messages: method, bounds, and HTTP/2 keepalive on both sides."""

from __future__ import annotations

from typing import Final

from pullwhy.diagnose.document.codec import MAX_DOCUMENT

SERVICE: Final = "pullwhy.v1.Collector"
METHOD: Final = f"/{SERVICE}/Report"

MAX_BATCH: Final = 100
"""Reports of one batch."""
MAX_BATCH_BYTES: Final = MAX_DOCUMENT
"""Documents of one batch together; a real one has a few thousand bytes."""
MAX_MESSAGE: Final = 1024 * 1024
"""Bytes of one message on the wire, envelope included."""
MAX_RECEIVED: Final = MAX_MESSAGE + 64 * 1024
"""Bytes of a message that a collector takes in to refuse it by name; a larger one gRPC itself refuses, unread."""
MAX_SEQUENCE: Final = 2**63 - 1

AGENT_PING_SECONDS: Final = 60
"""How often an agent makes sure that its collector is still there; a NAT forgets idle connections after some minutes."""
COLLECTOR_PING_SECONDS: Final = 120
"""How often a collector makes sure that its agent is still there: a node that lost its power says no goodbye."""
PING_TIMEOUT_SECONDS: Final = 20
LEAST_PING_SECONDS: Final = 10
"""Pings that come faster are answered with GOAWAY ENHANCE_YOUR_CALM; well below AGENT_PING_SECONDS, so that none of ours is."""

HANDSHAKE_SECONDS: Final = 20
"""From a connection to the first HTTP/2 frame, TLS between them: an agent gives up after so long too."""
IDLE_SECONDS: Final = 5
"""A connection without a stream is closed: an agent opens its stream at once, and a connection for each."""
MAX_AGENTS: Final = 20_000
"""Agents connected at a time, unless `max_agents` says otherwise."""
SPARE_CONNECTIONS: Final = 100

Options = list[tuple[str, int | str]]

_NO_BANDWIDTH_PROBE: Final = ("grpc.http2.bdp_probe", 0)
"""Otherwise each side answers a message with a ping to widen its window (gRPC core: bdp_estimator): a quarter of what a burst of
small findings costs a collector. The window that HTTP/2 begins with is enough for batches of half a megabyte."""


def agent_options(ping_seconds: float = AGENT_PING_SECONDS) -> Options:
    """Return the channel options of an agent (gRPC core: include/grpc/impl/channel_arg_names.h)."""
    return [
        ("grpc.keepalive_time_ms", int(ping_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", PING_TIMEOUT_SECONDS * 1000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        # The way to the collector is inside the cluster; the runtime's proxy, which the environment may name, is not for it.
        ("grpc.enable_http_proxy", 0),
        # Each attempt resolves and connects anew, at the reporter's own pace: no back-off of the library below it.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_retries", 0),
        _NO_BANDWIDTH_PROBE,
    ]


def most_connections(max_agents: int) -> int:
    """Return how many connections a collector takes: its agents', and room for those that come again before the old one is known to be gone."""
    return max_agents + max_agents // 4 + SPARE_CONNECTIONS


def collector_options(
    ping_seconds: float = COLLECTOR_PING_SECONDS,
    least_ping_seconds: float = LEAST_PING_SECONDS,
    *,
    connections: int = most_connections(MAX_AGENTS),
    handshake_seconds: float = HANDSHAKE_SECONDS,
    idle_seconds: float = IDLE_SECONDS,
) -> Options:
    """Return the server options of a collector."""
    return [
        ("grpc.keepalive_time_ms", int(ping_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", PING_TIMEOUT_SECONDS * 1000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", int(least_ping_seconds * 1000)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", int(least_ping_seconds * 1000)),
        ("grpc.max_receive_message_length", MAX_RECEIVED),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        # What a stranger may hold: connections that have shown nothing yet count too, and each may have one stream.
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server_handshake_timeout_ms", int(handshake_seconds * 1000)),
        ("grpc.max_connection_idle_ms", int(idle_seconds * 1000)),
        ("grpc.max_concurrent_streams", 1),
        ("grpc.max_metadata_size", 8192),
        _NO_BANDWIDTH_PROBE,
        # A second collector on the same port must fail at its start, not share the agents with the first.
        ("grpc.so_reuseport", 0),
    ]
