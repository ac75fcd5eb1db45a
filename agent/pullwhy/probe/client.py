"""Asks one endpoint, and wherever it redirects to, over as few connections as possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.model import Via
from pullwhy.probe import url as urls
from pullwhy.probe.answers import date_of, facts
from pullwhy.probe.destinations import Origin
from pullwhy.probe.http import MAX_ERROR_BODY, Answered, HTTPFailed, Request
from pullwhy.probe.proxy import authorization
from pullwhy.probe.route import Route
from pullwhy.probe.tls import HandshakeFailed
from pullwhy.probe.tools import Hop, Opened
from pullwhy.probe.url import URL, InvalidURL
from pullwhy.secret import Secret
from pullwhy.trace import HTTPFacts, HTTPFault

MAX_REDIRECTS: Final = 10
"""Redirects followed (Go 1.27: net/http/client.go)."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Headers = tuple[tuple[str, Secret], ...]


@frozen
class Ask:
    """What is asked of a URL."""

    method: str
    url: URL
    headers: Headers = ()
    """Sent to wherever a redirect leads."""
    private: Headers = ()
    """Sent to the URL's own scheme, host and port only: credentials, tokens and the endpoint's own headers."""
    limit: int = MAX_ERROR_BODY
    """Bytes of body read."""
    timeout: float = 0.0
    """Seconds for one answer; 0 for the plan's."""


@frozen
class Reply:
    """The last answer of a chain of redirects, or why there is none."""

    facts: HTTPFacts
    answer: Answered | None
    host: str
    via: Via | None
    redirected: bool
    detail: str = ""
    """How the exchange failed."""

    @property
    def status(self) -> int:
        """The HTTP status, 0 where no answer came."""
        return self.facts.status


class Client:
    """HTTP towards one endpoint; its connections are kept until it is closed."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._idle: dict[tuple[str, str, int], Opened] = {}

    @property
    def via(self) -> Via | None:
        """Where on the way the endpoint itself is."""
        return Via.MIRROR if self.route.endpoint.is_mirror else None

    @property
    def repository(self) -> str:
        """The repository as the endpoint names it."""
        return self.route.endpoint.repository or self.route.tools.plan.image.repository

    async def ask(self, ask: Ask, *, realm: bool = False) -> Reply | None:
        """Ask, and follow redirects; None where a host could not be reached, which the trace then tells.

        `realm` says that a challenge named the URL, and not the node's configuration.
        """
        own = urls.of_endpoint(self.route.endpoint, "")
        url = ask.url
        count = 0
        while True:
            private = ask.private if url.origin == ask.url.origin else ()
            hop = self._hop(url, own, redirected=count > 0, realm=realm)
            reply = await self._exchange(hop, ask, private)
            if reply is None:
                return None
            reply = replace(reply, redirected=count > 0)
            location = reply.answer.header("location") if reply.answer is not None else ""
            if reply.status not in _REDIRECTS or not location:
                return reply
            try:
                url = urls.parse(location, url)
            except InvalidURL as error:
                return _refused(reply, f"a redirect is not followed: {error}")
            count += 1
            if count > MAX_REDIRECTS:
                return _refused(reply, f"stopped after {MAX_REDIRECTS} redirects")

    def _hop(self, url: URL, own: URL, *, redirected: bool, realm: bool) -> Hop:
        if not redirected and not realm:
            return Hop(url, Origin.ENDPOINT, self.via)
        if (url.host, url.port) == (own.host, own.port):
            return Hop(url, Origin.INDIRECT, self.via)
        return Hop(url, Origin.INDIRECT, Via.TOKEN_HOST if realm else Via.BLOB_HOST)

    async def _exchange(self, hop: Hop, ask: Ask, private: Headers) -> Reply | None:
        """Make one exchange; an idle connection that the server closed meanwhile is opened again."""
        opened = self._idle.pop(self.route.sent_to(hop).origin, None)
        stale = opened is not None
        opened = opened or await self.route.open(hop)
        if opened is None:
            return None
        try:
            reply = await self._once(hop, opened, ask, private)
        except HandshakeFailed as error:
            opened.connection.close()
            self.route.handshake_refused(hop, opened, error.facts)
            return None
        if stale and reply.facts.fault is HTTPFault.RESET and not reply.facts.received:
            return await self._exchange(hop, ask, private)
        return reply

    async def _once(self, hop: Hop, opened: Opened, ask: Ask, private: Headers) -> Reply:
        url = self.route.sent_to(hop)
        tools = self.route.tools
        tools.recorder.requests += 1
        request = self._request(url, opened, ask, private)
        try:
            answer = await opened.connection.exchange(request, ask.limit, ask.timeout or tools.plan.timeouts.answer)
        except HTTPFailed as error:
            opened.connection.close()
            failed = HTTPFacts(ask.method, str(url), fault=error.fault, received=error.received)
            return Reply(failed, None, hop.url.host, hop.via, redirected=False, detail=error.detail)
        if opened.connection.reusable:
            self._idle[url.origin] = opened
        else:
            opened.connection.close()
        tools.recorder.saw_date(date_of(answer))
        return Reply(facts(ask.method, str(url), answer), answer, hop.url.host, hop.via, redirected=False)

    def _request(self, url: URL, opened: Opened, ask: Ask, private: Headers) -> Request:
        headers: Headers = (
            ("Host", Secret(url.authority)),
            ("User-Agent", Secret(self.route.tools.plan.user_agent)),
            ("Accept-Encoding", Secret("identity")),
            *ask.headers,
            *private,
        )
        if opened.proxy is None:
            return Request(ask.method, url.target, headers)
        return Request(ask.method, f"http://{url.authority}{url.target}", (*headers, *authorization(opened.proxy)))


def _refused(reply: Reply, why: str) -> Reply:
    return replace(reply, facts=replace(reply.facts, fault=HTTPFault.REDIRECT_REFUSED), answer=None, detail=why)
