"""The ASGI application: takes each operation's declaration at its word, so that what is described is what is answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pullwhy.collector import params
from pullwhy.collector.api import errors, sight
from pullwhy.collector.api.asker import Asker, Who, everybody
from pullwhy.collector.api.body import read_body
from pullwhy.collector.api.events import Watchers
from pullwhy.collector.api.operation import Backend, Operation, Question
from pullwhy.collector.api.operations import OPERATIONS
from pullwhy.collector.compare.misses import Found
from pullwhy.collector.denials import CannotTell, Denial, Denials, Denied
from pullwhy.collector.fleet import WholeStore
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.pace import Pace
from pullwhy.collector.params import BadParameter

CHANGES_PER_SECOND: Final = 5.0
CHANGES_AT_ONCE: Final = 50.0
PROBES_PER_SECOND: Final = 0.5
PROBES_AT_ONCE: Final = 20.0
"""Of all who ask: a probe of a large fleet is thousands of walks, whose budgets the agents keep besides."""


T = TypeVar("T")


class API:
    """The routes; make the ASGI application with `application`."""

    def __init__(
        self,
        store: WholeStore,
        metrics: Metrics,
        connected: Callable[[], set[tuple[str, str]]],
        clock: Callable[[], datetime],
        who: Who = everybody,
        black_holes: Callable[[], Found] = dict,
    ) -> None:
        self._who, self._denials = who, Denials(metrics.deny, time.monotonic)
        self._start = secrets.token_hex(4)
        self._backend = Backend(
            store,
            metrics,
            connected,
            clock,
            Watchers(self._tag, clock),
            changes=Pace(CHANGES_PER_SECOND, CHANGES_AT_ONCE, time.monotonic),
            probes=Pace(PROBES_PER_SECOND, PROBES_AT_ONCE, time.monotonic),
            black_holes=black_holes,
        )
        store.listen(self._backend.watchers.tell)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        paths = dict.fromkeys(operation.path for operation in OPERATIONS)
        return Starlette(routes=[self._route(path) for path in paths], exception_handlers=errors.HANDLERS)

    def close(self) -> None:
        """End the streams of events, which would not end by themselves."""
        self._backend.watchers.close()

    def _route(self, path: str) -> Route:
        methods: dict[str, Operation] = {
            operation.method: operation for operation in OPERATIONS if operation.path == path
        }

        async def answer(request: Request) -> Response:
            return await self._answer(methods["GET" if request.method == "HEAD" else request.method], request)

        return Route(path, answer, methods=list(methods))

    async def _answer(self, operation: Operation, request: Request) -> Response:
        question = await self._question(operation, request)
        tag = self._tag(operation.fresh_seconds)
        headers = {"etag": tag} if operation.tagged else {}
        if operation.tagged and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        answer = await self._seen(operation, question)
        return answer if isinstance(answer, Response) else errors.as_json(answer, operation.status, headers)

    async def _seen(self, operation: Operation, question: Question) -> object:
        """Return an operation's answer as who asks may see it."""
        seen = question.asker.sight
        if seen is None:
            return await operation.handler(self._backend, question)
        await sight.before(question.asker, seen, operation, self._backend, question.path.get("id", ""))
        try:
            answer = await operation.handler(self._backend, question)
        except (HTTPException, BadParameter):
            if operation.id in sight.SHARED:
                sight.nothing(operation)  # how something cannot be shown tells that it is there
            raise
        return await sight.restrict(seen, operation, self._backend, question.values.get("namespace", ""), answer)

    async def _question(self, operation: Operation, request: Request) -> Question:
        if operation.open:
            return Question(Asker(), {}, {})
        asker = await self._admitted(self._who(request), request)
        path = request.path_params
        if any("\0" in value or len(value) > params.MAX_VALUE for value in path.values()):
            raise HTTPException(404)
        known = [each.name for each in operation.parameters if each.name not in path]
        values = params.check(request.query_params.multi_items(), known)
        await self._admitted(sight.admit(asker, operation, values.get("namespace", "")), request)
        body = await read_body(request, operation.body) if operation.body else None
        return Question(asker, values, path, body, request.headers.get("last-event-id", ""))

    async def _admitted(self, deciding: Awaitable[T], request: Request) -> T:
        """Return what was decided; raises HTTPException where somebody is turned away."""
        try:
            return await deciding
        except Denied as denied:
            self._denials.note(denied, f"{request.client.host}:0" if request.client else "")
            if denied.denial is Denial.FORBIDDEN:
                raise HTTPException(403, str(denied)) from None
            raise HTTPException(401, str(denied), {"www-authenticate": "Bearer"}) from None
        except CannotTell as error:
            raise HTTPException(503, str(error)) from None

    def _tag(self, fresh_seconds: int = 0) -> str:
        """Return what changes whenever an answer may have changed: a client that polls gets 304 in between."""
        backend = self._backend
        age = f"-{int(backend.clock().timestamp()) // fresh_seconds}" if fresh_seconds else ""
        return f'"{self._start}-{backend.store.version}-{len(backend.connected())}{age}"'
