"""What a walk looks at beside the runtime's own way, to tell one fault from another."""

from __future__ import annotations

from typing import Final

from pullwhy.probe import dns, hello, tcp
from pullwhy.probe.answers import date_of
from pullwhy.probe.http import Connection, HTTPFailed, Request
from pullwhy.probe.network import NetworkError
from pullwhy.probe.tls import HandshakeFailed, handshake
from pullwhy.probe.tools import Hop, Tools
from pullwhy.probe.trust import Trust
from pullwhy.secret import Secret
from pullwhy.trace import ConnectAttempt, TLSFacts, TLSFault

PAST_PROXY_SECONDS: Final = 1.5
"""How long a connection may take that only tells whether the proxy is needed."""

DATE_SECONDS: Final = 2.0
"""How long each step may take that only asks for a server's clock."""


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


async def ask_date(tools: Tools, hop: Hop, used: ConnectAttempt) -> None:
    """Ask a server whose certificate is out of its time for its Date, so that a wrong clock here is told from a wrong certificate.

    Nobody has vouched for that server: it is asked one anonymous HEAD, and nothing but the header is kept.
    """
    url, plan = hop.url, tools.plan
    headers = (("Host", Secret(url.authority)), ("User-Agent", Secret(plan.user_agent)))
    try:
        stream = await tools.network.connect(used.address, used.port, DATE_SECONDS)
    except NetworkError:
        return
    try:
        context = tools.contexts.get(Trust((), verify=False))
        secure = await handshake(stream, url.host, context, DATE_SECONDS, tools.clock, plan.go)
        tools.recorder.requests += 1
        answer = await Connection(secure).exchange(Request("HEAD", "/v2/", headers), 0, DATE_SECONDS)
    except (HandshakeFailed, HTTPFailed, NetworkError):
        return
    finally:
        stream.close()
    tools.recorder.saw_date(date_of(answer))


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
