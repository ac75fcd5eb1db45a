"""Opens a tunnel through an HTTP proxy with CONNECT (RFC 9110 section 9.3.6)."""

from __future__ import annotations

import base64

from pullwhy.probe.http import Answered, Connection, Request
from pullwhy.probe.network import Stream
from pullwhy.probe.noproxy import ProxyAddress
from pullwhy.secret import Secret


def authorization(proxy: ProxyAddress) -> tuple[tuple[str, Secret], ...]:
    """Return the header that shows the proxy's user info, nothing where it has none (RFC 7617)."""
    if not proxy.username and not proxy.password:
        return ()
    pair = f"{proxy.username}:{proxy.password.reveal()}".encode()
    return (("Proxy-Authorization", Secret(f"Basic {base64.b64encode(pair).decode()}")),)


async def tunnel(stream: Stream, proxy: ProxyAddress, host: str, port: int, user_agent: str, within: float) -> Answered:
    """Ask `proxy` over `stream` for a tunnel to `host:port` and return its answer; a status of 2xx means that the stream is one.

    Raises HTTPFailed where no answer came.
    """
    name = f"[{host}]" if ":" in host else host
    target = f"{name}:{port}"
    headers = (("Host", Secret(target)), ("User-Agent", Secret(user_agent)), *authorization(proxy))
    return await Connection(stream).exchange(Request("CONNECT", target, headers), 0, within)
