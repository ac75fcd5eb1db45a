"""Asks one endpoint for the image as containerd does, step by step: anonymously, then as whom the plan allows.

containerd 2.1, core/remotes/docker (resolver.go, authorizer.go, fetcher.go): no ping; a HEAD of the manifest without Authorization; a
challenge is met; 405 makes it a GET. CRI-O pings /v2/ and gets the manifest; it is asked for here in the same way. Unlike both: nothing is retried, the identities come one after the other, and one GET
asks for the reason where a HEAD cannot tell it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from pullwhy.model import Outcome, Stage, Via
from pullwhy.plan import Credential
from pullwhy.probe import tags
from pullwhy.probe import url as urls
from pullwhy.probe.blobs import namespace
from pullwhy.probe.challenge import Challenge, choose, parse
from pullwhy.probe.client import Ask, Client, Headers, Reply
from pullwhy.probe.content import Content
from pullwhy.probe.manifests import ACCEPT, is_digest, media_type, unsupported_type
from pullwhy.probe.record import Observation
from pullwhy.probe.token import Meeting
from pullwhy.secret import Secret
from pullwhy.trace import AuthFacts, AuthResult, HTTPFacts, Identity, ManifestFacts

MAX_CREDENTIALS: Final = 4
"""Credentials tried; the kubelet tries all that match, a node has one or two."""
_OK: Final = 200
_ERRORS: Final = 400
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_METHOD_NOT_ALLOWED: Final = 405
_PROXY_AUTHENTICATION: Final = 407
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500
_HUB_SAYS_WHY: Final = frozenset({_UNAUTHORIZED, _NOT_FOUND, _TOO_MANY})
"""Statuses of a HEAD on Docker Hub that need no GET, which would count against the limit."""


Earlier = Callable[[str], Awaitable[bool]]
"""Asks the endpoints that come before for the content with a digest, and tells whether one serves it."""


async def _nobody(_digest: str) -> bool:
    return False


class Registry:
    """The walk of one endpoint, once the way to it is open."""

    def __init__(self, client: Client, earlier: Earlier = _nobody) -> None:
        self._client = client
        self._earlier = earlier
        self._route = client.route
        self._clock = client.route.tools.clock
        self._plan = client.route.tools.plan
        self._image = self._plan.image
        endpoint = client.route.endpoint
        self._own: Headers = endpoint.headers
        self._target = f"{endpoint.authority}/{client.repository}:{self._image.reference}"
        self._is_hub = self._image.is_docker_hub and not endpoint.is_mirror
        self._lost = False
        """Whether going on with another identity cannot tell more."""

    async def walk(self) -> bool:
        """Ask for the image and tell whether a pull from here would work; everything seen goes to the recorder."""
        started = self._clock.monotonic()
        first = await self._head(())
        if first is None:
            return False
        if first.facts.fault is not None or first.status == _PROXY_AUTHENTICATION:
            await self._manifest(first, Identity.NONE, (), started)
            return False
        if first.status == _UNAUTHORIZED:
            return await self._challenged(first, started)
        with self._stage(Stage.AUTH, Identity.ANONYMOUS, started) as seen:
            if first.status == _FORBIDDEN:
                await self._refused(seen, first, (), AuthFacts(AuthResult.REFUSED))
                return False
            seen.auth = AuthFacts(AuthResult.NOT_NEEDED)
        if not await self._manifest(first, Identity.ANONYMOUS, (), self._clock.monotonic()):
            return False
        return await self._content(first, Identity.ANONYMOUS, ())

    async def _challenged(self, first: Reply, started: float) -> bool:
        challenge = choose(parse(first.answer.all("www-authenticate"))) if first.answer is not None else None
        if challenge is None:
            with self._stage(Stage.AUTH, Identity.ANONYMOUS, started) as seen:
                await self._refused(seen, first, (), AuthFacts(AuthResult.UNUSABLE_CHALLENGE))
            return False
        served: bool | None = None
        for credential in (None, *self._credentials()):
            identity = _identity(credential)
            met = await self._authorised(challenge, credential, started)
            if met is not None:
                reply, headers = met
                passed = await self._manifest(reply, identity, headers, self._clock.monotonic())
                if passed and served is None:  # content is the same for all who may read it
                    served = await self._content(reply, identity, headers)
            if self._lost:
                break
            started = self._clock.monotonic()
        return served is True

    def _credentials(self) -> tuple[Credential, ...]:
        """Return the credentials that may be sent here: to the image's own registry, never to a mirror."""
        return () if self._route.endpoint.is_mirror else self._plan.credentials[:MAX_CREDENTIALS]

    async def _authorised(
        self, challenge: Challenge, credential: Credential | None, started: float
    ) -> tuple[Reply, Headers] | None:
        """Meet the challenge and ask again; None where that fails, which the trace then tells."""
        meeting = Meeting(self._client, challenge, self._client.repository, credential)
        with self._stage(Stage.AUTH, _identity(credential), started) as seen:
            headers = await meeting.headers(seen)
            if headers is None:
                limited = seen.http is not None and seen.http.status == _TOO_MANY
                self._lost = limited or seen.outcome is Outcome.SKIPPED or seen.auth is None
                return None
            reply = await self._head(headers)
            if reply is None:
                self._lost = True
                seen.skipped("the registry could not be asked again")
                return None
            if reply.status in (_UNAUTHORIZED, _FORBIDDEN):
                again = choose(parse(reply.answer.all("www-authenticate"))) if reply.answer is not None else None
                error = again.parameters.get("error", "") if again is not None else ""
                await self._refused(seen, reply, headers, meeting.facts(AuthResult.REFUSED, error))
                return None
            seen.http = None
            seen.auth = meeting.facts(AuthResult.TOKEN_GRANTED)
            self._lost = reply.status == _TOO_MANY or reply.status >= _SERVER_ERRORS or reply.facts.fault is not None
            return reply, headers
        self._lost = True
        return None

    async def _refused(self, seen: Observation, reply: Reply, headers: Headers, facts: AuthFacts) -> None:
        seen.auth = facts
        seen.http, _ = await self._explained(reply, headers)
        codes = f" ({', '.join(seen.http.codes)})" if seen.http.codes else ""
        error = f", {facts.error}" if facts.error else ""
        unusable = ", with no challenge that can be met" if facts.result is AuthResult.UNUSABLE_CHALLENGE else ""
        seen.failed(f"{reply.status}{error}{codes}{unusable}")

    async def _head(self, headers: Headers) -> Reply | None:
        url = urls.of_endpoint(self._route.endpoint, self._path(), namespace(self._client))
        accept = (("Accept", Secret(ACCEPT)),)
        reply = await self._client.ask(Ask("HEAD", url, accept, (*self._own, *headers)))
        if reply is not None and reply.status == _METHOD_NOT_ALLOWED:
            reply = await self._client.ask(Ask("GET", url, accept, (*self._own, *headers)))
        return reply

    def _path(self) -> str:
        return f"{self._client.repository}/manifests/{self._image.reference}"

    async def _explained(self, reply: Reply, headers: Headers) -> tuple[HTTPFacts, str]:
        """Return a refusal's facts with the codes that only a GET's body has, and a remark where the GET differs."""
        facts = reply.facts
        if facts.status < _ERRORS or facts.method == "GET" or facts.status == _TOO_MANY or facts.fault is not None:
            return facts, ""
        if self._is_hub and facts.status in _HUB_SAYS_WHY:
            return facts, ""
        url = urls.of_endpoint(self._route.endpoint, self._path(), namespace(self._client))
        ask = Ask("GET", url, (("Accept", Secret(ACCEPT)),), (*self._own, *headers))
        told = await self._client.ask(ask)
        if told is None or told.status < _ERRORS:
            return facts, f"; a GET answers {told.status}" if told is not None and told.status else ""
        return (
            replace(
                facts,
                codes=told.facts.codes,
                names_client_address=told.facts.names_client_address,
                says_expired=told.facts.says_expired,
                headers={**(told.facts.headers or {}), **(facts.headers or {})},
                html=facts.html or told.facts.html,
                registry_api=facts.registry_api or told.facts.registry_api,
                received=told.facts.received,
                fault=told.facts.fault,
            ),
            "",
        )

    async def _manifest(self, reply: Reply, identity: Identity, headers: Headers, started: float) -> bool:
        """Record what the HEAD of the manifest says, and tell whether it says that there is a usable one."""
        with self._stage(Stage.MANIFEST, identity, started) as seen:
            seen.http, remark = await self._explained(reply, headers)
            seen.via = reply.via
            status = seen.http.status
            if seen.http.fault is not None:
                seen.failed(f"{seen.http.fault}: {reply.detail or status}")
            elif status == _PROXY_AUTHENTICATION:
                seen.stage, seen.via = Stage.PROXY, Via.PROXY
                seen.failed("the proxy wants other credentials: 407")
            elif seen.http.html:
                seen.failed(f"{status}: a web page answered where a registry should")
            elif status == _NOT_FOUND:
                seen.manifest = await self._absent(identity, headers)
                seen.failed(f"404{remark}: {_absence(seen.http, seen.manifest)}")
            elif status != _OK:
                seen.failed(" ".join((f"{status}{remark}", *seen.http.codes)))
            else:
                seen.manifest = _present(reply)
                if seen.manifest.unsupported:
                    seen.failed(seen.manifest.unsupported)
            return seen.outcome is Outcome.PASSED
        return False

    async def _absent(self, identity: Identity, headers: Headers) -> ManifestFacts:
        """Look for the tag in the list of tags; suggestions are made of what everybody may list."""
        image, anyone = self._image, identity is Identity.ANONYMOUS
        tag, pages = ("", 1) if image.digest else (image.tag, tags.MAX_PAGES if anyone else 1)
        found = await tags.look(self._client, self._client.repository, tag, (*self._own, *headers), pages)
        return ManifestFacts(
            tag_listed=None if image.digest else found.listed,
            similar_tags=found.similar if anyone else (),
            repository_answers=found.repository_answers,
        )

    async def _content(self, reply: Reply, identity: Identity, headers: Headers) -> bool:
        digest = _present(reply).digest
        if digest and await self._earlier(digest):
            return True
        if self._is_hub:
            for stage in (Stage.PLATFORM, Stage.BLOB):
                with self._stage(stage, identity, None) as seen:
                    seen.skipped("not asked: a GET of a manifest counts against Docker Hub's pull limit")
            return True
        return await Content(self._client, identity, (*self._own, *headers)).walk(reply)

    def _stage(self, stage: Stage, identity: Identity, since: float | None) -> AbstractContextManager[Observation]:
        target = self._route.endpoint.authority if stage is Stage.AUTH else self._target
        return self._route.tools.recorder.stage(
            stage, target, endpoint=self._route.index, via=self._client.via, identity=identity, since=since
        )


def _identity(credential: Credential | None) -> Identity:
    if credential is None:
        return Identity.ANONYMOUS
    if credential.pull_secret:
        return Identity.POD
    return Identity.SUPPLIED if credential.supplied else Identity.NODE


def _present(reply: Reply) -> ManifestFacts:
    """Read the descriptor that the headers make (containerd 2.1: core/remotes/docker/resolver.go)."""
    answer = reply.answer
    kind = media_type(answer.header("content-type")) if answer is not None else ""
    digest = answer.header("docker-content-digest").strip() if answer is not None else ""
    length = answer.header("content-length") if answer is not None else ""
    size = int(length) if length.isdecimal() and len(length) <= 12 else 0  # noqa: PLR2004 - beyond any manifest
    return ManifestFacts(kind, digest if is_digest(digest) else "", size, unsupported_type(kind))


def _absence(http: HTTPFacts, manifest: ManifestFacts) -> str:
    codes = ", ".join(http.codes) or "no error code"
    if manifest.repository_answers is None:
        return f"{codes}; the list of tags could not be had"
    if not manifest.repository_answers:
        return f"{codes}; the repository's tags are not there either"
    if manifest.tag_listed is None:
        return f"{codes}; the repository answers"
    return f"{codes}; the repository answers and {'lists' if manifest.tag_listed else 'does not list'} the tag"
