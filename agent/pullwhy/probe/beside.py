"""What a walk looks at beside the runtime's own way, to tell one fault from another."""

from __future__ import annotations

from typing import Final

from pullwhy.probe import dns, hello, tcp
from pullwhy.probe.tools import Hop, Tools
from pullwhy.trace import ConnectAttempt, TLSFacts, TLSFault

PAST_PROXY_SECONDS: Final = 1.5
"""How long a connection may take that only tells whether the proxy is needed."""


async def past_the_proxy(tools: Tools, hop: Hop, own_host: str) -> tuple[tuple[ConnectAttempt, ...], str]:
    """See whether a host could be reached without the proxy that fails; return the attempts, and in words what they show."""
    url = hop.url
    found = await dns.resolve(url.host, tools.plan.resolver, tools.asking)
    stream, attempts = await tcp.connect(
        tools.network,
        tools.clock,
        found.addresses,
        url.port,
        min(tools.plan.timeouts.connect, PAST_PROXY_SECONDS),
        lambda address: tools.destinations.refuses(address, url.port, url.host, hop.origin, own_host),
    )
    if stream is None:
        return attempts, "does not connect either" if found.addresses else "has no address here"
    stream.close()
    return attempts, "connects"


async def large_hello(tools: Tools, hop: Hop, used: ConnectAttempt) -> TLSFacts | None:
    """Send a hello as large as the runtime's to a host that answered a smaller one; return what became of it if it is lost."""
    url = hop.url
    if url.authority in tools.hellos or not hello.is_wanted(tools.plan.go):
        return None
    tools.hellos.add(url.authority)
    lost = await hello.lost(tools.network, used, url.host, tools.plan.timeouts.handshake)
    if lost is None:
        return None
    fault = TLSFault.TIMED_OUT if lost.silent else TLSFault.RESET
    return TLSFacts(url.host, fault, error=f"{lost}, while a smaller one is answered", large_hello=True)
