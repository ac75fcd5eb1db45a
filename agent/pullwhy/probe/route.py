"""Opens the way to one host as the runtime would: proxy, DNS, connect, TLS; each a stage of the trace."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from pullwhy.clientpair import UnusableClientPair
from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Endpoint
from pullwhy.probe import beside, dns, tcp
from pullwhy.probe.answers import facts as http_facts
from pullwhy.probe.destinations import Origin, parse_address
from pullwhy.probe.http import Connection, HTTPFailed
from pullwhy.probe.network import Stream
from pullwhy.probe.noproxy import InvalidProxy, ProxyAddress, exempted, proxy_for
from pullwhy.probe.proxy import tunnel
from pullwhy.probe.record import Observation
from pullwhy.probe.tls import HandshakeFailed, OnlyOpenSSLRefuses, TLSStream, handshake
from pullwhy.probe.tools import Hop, Opened, Tools
from pullwhy.probe.trust import Trust
from pullwhy.probe.url import URL, of_endpoint
from pullwhy.trace import ConnectAttempt, ConnectResult, DNSFacts, HTTPFacts, StageResult, TLSFacts, TLSFault

HTTP_PORT: Final = 80
_AROUND: Final = "; the runtime has a proxy, from which its NO_PROXY exempts this host"
_FALLBACK_FAULTS: Final = frozenset({TLSFault.PLAIN_HTTP, TLSFault.TIMED_OUT})
_DATED: Final = frozenset({TLSFault.EXPIRED, TLSFault.NOT_YET_VALID})
_NOT_TLS: Final = "WRONG_VERSION_NUMBER"
"""OpenSSL's reason for a record that is not TLS; Go's tls.RecordHeaderError, another ground for the fallback."""
_GOES_PLAIN: Final = "the runtime goes on in plain HTTP here"


class Route:
    """The ways of one endpoint: to its own host and to where it leads."""

    def __init__(self, tools: Tools, endpoint: Endpoint, index: int) -> None:
        self.tools = tools
        self.endpoint = endpoint
        self.index = index
        self.plain = False
        """Whether the runtime's fallback to plain HTTP was taken."""
        self._judged_by_go: set[str] = set()
        """Hosts whose chain OpenSSL refuses and Go takes."""
        self._resolved: set[str] = set()
        self._streams: list[Stream] = []
        self._connected: list[ConnectAttempt] = []

    async def open(self, hop: Hop) -> Opened | None:
        """Open the way to `hop`; None where a stage of it failed or was skipped, which the trace then tells."""
        hop = replace(hop, url=self.sent_to(hop))
        if not self._may_ask(hop):
            return None
        proxy, usable = self._proxy(hop)
        if not usable:
            return None
        if proxy is not None:
            return await self._through(proxy, hop)
        stream = await self._reach(hop.url.host, hop.url.port, hop.origin, hop.via)
        if stream is None:
            return await self.open(hop) if hop.url != self.sent_to(hop) else None
        opened = await self._secured(stream, hop, None)
        return opened if opened is None or await self._hears_large_hello(hop, opened) else None

    def sent_to(self, hop: Hop) -> URL:
        """Return where a request goes: only the endpoint's own may go on in plain HTTP, a realm or redirect on its host may not."""
        if not self.plain or hop.origin is not Origin.ENDPOINT or hop.url.scheme == "http":
            return hop.url
        return hop.url.in_plain(self.endpoint.http_port)

    def _may_ask(self, hop: Hop) -> bool:
        reason = self.tools.destinations.refuses_name(hop.url.host)
        if reason:
            with self._stage(Stage.CONNECT, hop.url.authority, hop.via) as seen:
                seen.skipped(f"not dialled: {reason}")
        return not reason

    def _proxy(self, hop: Hop) -> tuple[ProxyAddress | None, bool]:
        """Return the proxy to go through, and whether the way can be gone at all."""
        try:
            proxy = proxy_for(hop.url.scheme, hop.url.host, hop.url.port, self.tools.plan.proxies)
        except InvalidProxy as error:
            with self._stage(Stage.PROXY, "the proxy setting", Via.PROXY) as seen:
                seen.failed(str(error))
            return None, False
        if proxy is None:
            return None, True
        if proxy.misread:
            with self._stage(Stage.PROXY, "the proxy setting", Via.PROXY) as seen:
                seen.skipped(f"it is not a URL: Go reads it as a proxy of the name {proxy.host}")
        reason = self._refuses_behind_proxy(hop)
        if reason or proxy.scheme.startswith("socks"):
            with self._stage(Stage.PROXY, proxy.authority, Via.PROXY) as seen:
                seen.skipped(f"not asked for {hop.url.authority}: {reason or 'pullwhy speaks no SOCKS'}")
            return None, False
        return proxy, True

    def _refuses_behind_proxy(self, hop: Hop) -> str:
        """Judge a literal address; what a name means behind a proxy is the proxy's to know."""
        if parse_address(hop.url.host) is None:
            return ""
        url = hop.url
        return self.tools.destinations.refuses(url.host, url.port, url.host, hop.origin, self.endpoint.host)

    async def _reach(self, host: str, port: int, origin: Origin, via: Via | None) -> Stream | None:
        found = await self._resolve(host, via)
        if not found.addresses:
            return None
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        timeout = self.tools.plan.timeouts.connect
        if origin is Origin.ENDPOINT and self.endpoint.dial_timeout is not None:
            timeout = min(timeout, max(self.endpoint.dial_timeout, 0.1))
        stream: Stream | None = None
        with self._stage(Stage.CONNECT, name, via) as seen:
            stream, seen.connect = await tcp.connect(
                self.tools.network,
                self.tools.clock,
                found.addresses,
                port,
                timeout,
                lambda address: self.tools.destinations.refuses(address, port, host, origin, self.endpoint.host),
            )
            if stream is not None:
                self._streams.append(stream)
                self._connected += [one for one in seen.connect if one.used]
            told = "; ".join(f"{one.address}: {one.detail or one.result}" for one in seen.connect)
            if stream is None and all(one.result is ConnectResult.NOT_ALLOWED for one in seen.connect):
                seen.skipped(f"not dialled: {told}")
            elif stream is None and self._goes_plain_elsewhere(port, origin):
                self.plain = True
                seen.skipped(f"{told}; {_GOES_PLAIN}")
            elif stream is None:
                around = via is not Via.PROXY and exempted(
                    "https" if port != HTTP_PORT else "http", host, port, self.tools.plan.proxies
                )
                seen.failed(f"{told}{_AROUND if around else ''}")
            elif any(one.result is not ConnectResult.CONNECTED for one in seen.connect):
                seen.detail = f"some addresses fail, so that pulls may be slow or fail now and then: {told}"
        return stream

    def _goes_plain_elsewhere(self, port: int, origin: Origin) -> bool:
        """Whether the runtime, having failed to connect for HTTPS, goes on to another port in plain HTTP."""
        own = origin is Origin.ENDPOINT and not self.plain and self.endpoint.scheme == "https"
        return own and self.endpoint.http_port not in {0, port}

    async def _resolve(self, host: str, via: Via | None) -> DNSFacts:
        known = self.tools.resolved.get(host)
        if known is not None and host in self._resolved:
            return known
        found = DNSFacts(host, "dns", ())
        with self._stage(Stage.DNS, host, via) as seen:
            found = seen.dns = known or await dns.resolve(host, self.tools.plan.resolver, self.tools.asking)
            if not found.addresses and self.tools.plan.resolver.mdns and host.lower().rstrip(".").endswith(".local"):
                seen.skipped("libc asks for names below .local by multicast (nsswitch: mdns), which the walk does not")
            elif not found.addresses:
                seen.failed(_why_unresolved(found))
            elif found.search_domain:
                seen.detail = f"the search domain {found.search_domain} answered"
        self._resolved.add(host)
        self.tools.resolved[host] = found
        return found

    async def _through(self, proxy: ProxyAddress, hop: Hop) -> Opened | None:
        before = len(self.tools.recorder.results)
        opened = await self._by_proxy(proxy, hop)
        failed = any(r.outcome is Outcome.FAILED and r.via is Via.PROXY for r in self.tools.recorder.results[before:])
        if opened is None and failed:
            await self._past_the_proxy(hop)
        return opened

    async def _past_the_proxy(self, hop: Hop) -> None:
        with self._stage(Stage.PROXY, hop.url.authority, Via.PROXY) as seen:
            seen.connect, told = await beside.past_the_proxy(self.tools, hop, self.endpoint.host)
            seen.skipped(f"without the proxy, which the runtime does not try, {hop.url.authority} {told}")

    async def _by_proxy(self, proxy: ProxyAddress, hop: Hop) -> Opened | None:
        stream = await self._reach(proxy.host, proxy.port, Origin.NODE, Via.PROXY)
        if stream is not None and proxy.scheme == "https":
            trust = Trust.of(self.endpoint, self.tools.plan.system_trust, own_host=False)
            judged = proxy.host in self._judged_by_go
            opened = await self._shake(stream, proxy.host, proxy.authority, trust, Via.PROXY)
            if opened is None and not judged and proxy.host in self._judged_by_go:
                return await self._by_proxy(proxy, hop)
            stream = opened[0] if opened else None
        if stream is None:
            return None
        if hop.url.scheme == "http":
            return Opened(Connection(stream), proxy)
        return await self._secured(stream, hop, None) if await self._tunnelled(stream, proxy, hop) else None

    async def _tunnelled(self, stream: Stream, proxy: ProxyAddress, hop: Hop) -> bool:
        done = False
        with self._stage(Stage.PROXY, proxy.authority, Via.PROXY) as seen:
            plan, url = self.tools.plan, hop.url
            self.tools.recorder.requests += 1
            try:
                answer = await tunnel(stream, proxy, url.host, url.port, plan.user_agent, plan.timeouts.answer)
            except HTTPFailed as error:
                seen.http = HTTPFacts("CONNECT", url.authority, fault=error.fault, received=error.received)
                seen.failed(f"no answer to CONNECT {url.authority}: {error.detail}")
            else:
                seen.http = http_facts("CONNECT", url.authority, answer)
                done = 200 <= answer.status < 300  # noqa: PLR2004 - HTTP's successes
                if not done:
                    seen.failed(f"CONNECT {url.authority}: {answer.status}")
        if not done:
            stream.close()
        return done

    async def _secured(self, stream: Stream, hop: Hop, proxy: ProxyAddress | None) -> Opened | None:
        if hop.url.scheme == "http":
            return Opened(Connection(stream), proxy)
        own = hop.url.host == of_endpoint(self.endpoint, "").host
        judged = hop.url.host in self._judged_by_go
        trust = Trust.of(self.endpoint, self.tools.plan.system_trust, own_host=own)
        shaken = await self._shake(stream, hop.url.host, hop.url.authority, trust, hop.via, self._may_fall_back(hop))
        if shaken is None:
            again = hop.url != self.sent_to(hop) or (not judged and hop.url.host in self._judged_by_go)
            if not again:
                await self._compare_clocks(hop)
            return await self.open(hop) if again else None
        secure, result = shaken
        return Opened(Connection(secure), proxy, result)

    def _may_fall_back(self, hop: Hop) -> bool:
        return self.endpoint.http_fallback and hop.origin is Origin.ENDPOINT

    async def _shake(
        self, stream: Stream, host: str, authority: str, trust: Trust, via: Via | None, fall_back: bool = False
    ) -> tuple[TLSStream, StageResult | None] | None:
        secure: TLSStream | None = None
        with self._stage(Stage.TLS, authority, via) as seen:
            try:
                context = self.tools.contexts.get(replace(trust, openssl=host not in self._judged_by_go))
                timeout = self.tools.plan.timeouts.handshake
                secure = await handshake(stream, host, context, timeout, self.tools.clock, self.tools.plan.go)
                seen.tls = secure.facts
            except OnlyOpenSSLRefuses as error:
                self._judged_by_go.add(host)
                seen.skipped(
                    f"{error}; the runtime's Go takes the certificate, so that it is asked once more by Go's rules"
                )
            except UnusableClientPair as error:
                seen.tls = TLSFacts(host, TLSFault.CLIENT_CERTIFICATE_REQUIRED, error=str(error))
                seen.failed(str(error))
            except HandshakeFailed as error:
                seen.tls = error.facts
                if fall_back and (self.endpoint.http_port or _speaks_no_tls(error.facts)):
                    self.plain = True
                    seen.skipped(f"{error.facts.error}; {_GOES_PLAIN}")
                else:
                    seen.failed(f"{error.facts.fault}: {error.facts.error}")
        if secure is None:
            stream.close()
            return None
        return secure, self.tools.recorder.results[-1]

    async def _compare_clocks(self, hop: Hop) -> None:
        told = self.tools.recorder.results[-1].tls
        used = self._used(hop)
        if told is not None and told.fault in _DATED and used is not None:
            await beside.ask_date(self.tools, hop, used)

    def _used(self, hop: Hop) -> ConnectAttempt | None:
        """Return the connection to `hop` itself that was made last; there is none where a proxy leads there."""
        proxied = proxy_for(hop.url.scheme, hop.url.host, hop.url.port, self.tools.plan.proxies) is not None
        return None if proxied else next((one for one in reversed(self._connected) if one.port == hop.url.port), None)

    async def _hears_large_hello(self, hop: Hop, opened: Opened) -> bool:
        """Tell whether a hello as large as the runtime's is answered too; each host is asked once."""
        used = self._used(hop)
        if opened.handshake is None or used is None:
            return True
        lost = await beside.large_hello(self.tools, hop, used)
        if lost is not None:
            self.handshake_refused(hop, opened, lost)
        return lost is None

    def handshake_refused(self, hop: Hop, opened: Opened, facts: TLSFacts) -> None:
        """Put the late word of a TLS 1.3 server in place of a handshake that seemed to have passed."""
        if opened.handshake is not None:
            self.tools.recorder.take_back(opened.handshake)
        with self._stage(Stage.TLS, hop.url.authority, hop.via) as seen:
            seen.tls = facts
            seen.failed(f"{facts.fault}: {facts.error}")

    def close(self) -> None:
        """Let go of every connection that was opened."""
        for stream in self._streams:
            stream.close()

    def _stage(self, stage: Stage, target: str, via: Via | None) -> AbstractContextManager[Observation]:
        return self.tools.recorder.stage(stage, target, endpoint=self.index, via=via)


def _speaks_no_tls(facts: TLSFacts) -> bool:
    return facts.fault in _FALLBACK_FAULTS or _NOT_TLS in facts.error


def _why_unresolved(found: DNSFacts) -> str:
    if not found.answers:
        return "no nameserver was asked: the name is not valid"
    return "; ".join(f"{one.server} for {one.name}: {one.detail or one.result}" for one in found.answers[:6])
