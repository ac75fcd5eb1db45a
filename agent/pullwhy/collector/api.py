"""The HTTP/JSON API: findings and nodes for people and programs, health for Kubernetes, metrics for Prometheus."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pullwhy.collector import params
from pullwhy.collector.documents import decode
from pullwhy.collector.metrics import Metrics
from pullwhy.collector.params import BadParameter
from pullwhy.collector.records import Store, StoredFinding, StoredNode, StoreError
from pullwhy.diagnose.codec import InvalidDocument
from pullwhy.diagnose.document import document, rfc3339
from pullwhy.text import printable

logger = logging.getLogger(__name__)

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class API:
    """The routes; make the ASGI application with `application`."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        connected: Callable[[], set[tuple[str, str]]],
        clock: Callable[[], datetime],
    ) -> None:
        self._store, self._metrics, self._connected, self._clock = store, metrics, connected, clock
        self._start = secrets.token_hex(4)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/api/v1/findings", self.findings),
                Route("/api/v1/findings/{id}", self.finding),
                Route("/api/v1/nodes", self.nodes),
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
                Route("/metrics", self.metrics),
            ],
            exception_handlers={
                HTTPException: _on_http_exception,
                BadParameter: _on_bad_parameter,
                StoreError: _on_store_error,
                Exception: _on_our_fault,
            },
        )

    async def findings(self, request: Request) -> Response:
        """Answer a page of findings, last seen first."""
        query = params.query(request.query_params.multi_items(), self._clock())
        if (tag := self._tag()) == request.headers.get("if-none-match"):
            return _not_modified(tag)
        # One more than was asked for tells whether there is a next page.
        found = await self._store.findings(dataclasses.replace(query, limit=query.limit + 1))
        page = found[: query.limit]
        following = params.cursor(page[-1].position) if len(found) > len(page) else None
        return _json({"items": await asyncio.to_thread(_documents, page), "next": following}, tag=tag)

    async def finding(self, request: Request) -> Response:
        """Answer one finding, with the states that it took."""
        values = params.check(request.query_params.multi_items(), ("cluster",))
        finding_id = request.path_params["id"]
        found = await self._store.finding(finding_id, values.get("cluster", ""))
        if not found:
            raise HTTPException(
                404, f"no finding '{printable(finding_id, 64)}' is known here; it may have been forgotten for its age"
            )
        if len(found) > 1:
            clusters = ", ".join(stored.cluster or "''" for stored, _ in found)
            raise BadParameter(f"this id is in several clusters ({clusters}): name one with ?cluster=")
        stored, history = found[0]
        documents = _documents([stored])
        if not documents:
            raise HTTPException(
                500, "this finding was written by another version and cannot be shown; its agent will report it again"
            )
        states = [{"at": rfc3339(change.at), "state": change.state} for change in history]
        return _json(documents[0] | {"history": states})

    async def nodes(self, request: Request) -> Response:
        """Answer a page of nodes, in the order of cluster and name."""
        values = params.check(request.query_params.multi_items(), params.NODE_PARAMETERS)
        size = params.limit(values.get("limit", ""))
        after = params.node_position(values.get("cursor", ""))
        if (tag := self._tag()) == request.headers.get("if-none-match"):
            return _not_modified(tag)
        found = await self._store.nodes(values.get("cluster", ""), values.get("node", ""), size + 1, after)
        page, connected, now = found[:size], self._connected(), self._clock()
        following = params.node_cursor(page[-1].cluster, page[-1].node) if len(found) > len(page) else None
        items = [_node(node, connected=(node.cluster, node.node) in connected, now=now) for node in page]
        return _json({"items": items, "next": following}, tag=tag)

    async def healthz(self, request: Request) -> Response:
        """Answer that the process runs."""
        del request
        return _json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Answer whether questions can be answered, and what hinders writing.

        A full disk does not make the collector unready: the answers still count, and the agents must reach it to notice
        that there is space again.
        """
        del request
        await self._store.size()  # raises StoreError where the database cannot be read
        return _json({"status": "ready", "fault": self._store.fault})

    async def metrics(self, request: Request) -> Response:
        """Answer the metrics."""
        del request
        active, size = await self._store.active_by_cause(), await self._store.size()
        self._metrics.set_store(active, size, writable=not self._store.fault)
        return Response(self._metrics.text(), media_type=METRICS_TYPE)

    def _tag(self) -> str:
        """Return what changes whenever an answer may have changed: a client that polls gets 304 in between."""
        return f'"{self._start}-{self._store.version}"'


def _documents(found: Sequence[StoredFinding]) -> list[dict[str, Any]]:
    documents = []
    for stored in found:
        try:
            finding = decode(stored.document)
        except InvalidDocument as error:
            logger.warning("a stored finding of another version is left out: %s", error)
            continue
        first_seen = min(finding.first_seen, stored.first_seen)
        documents.append(document(dataclasses.replace(finding, first_seen=first_seen)))
    return documents


def _node(node: StoredNode, *, connected: bool, now: datetime) -> dict[str, Any]:
    return {
        "cluster": node.cluster,
        "node": node.node,
        "connected": connected,
        "first_seen": rfc3339(node.first_seen),
        "last_seen": rfc3339(now if connected else node.last_seen),
        "agent_version": node.agent_version,
        "active_findings": node.active_findings,
        **msgspec.to_builtins(node.facts),
    }


def _json(value: Mapping[str, Any], status: int = 200, tag: str = "") -> Response:
    headers = {"cache-control": "no-cache", "x-content-type-options": "nosniff"} | ({"etag": tag} if tag else {})
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _not_modified(tag: str) -> Response:
    return Response(status_code=304, headers={"etag": tag})


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    known = {
        404: f"nothing at {printable(request.url.path, 100)}; try /api/v1/findings",
        405: f"{printable(request.method, 10)} is not answered here; GET is",
    }
    generic = error.detail in ("Not Found", "Method Not Allowed")
    return _json({"error": known[error.status_code] if generic else error.detail}, error.status_code)


async def _on_bad_parameter(request: Request, error: Exception) -> Response:
    del request
    return _json({"error": str(error)}, 400)


async def _on_store_error(request: Request, error: Exception) -> Response:
    del request
    return _json({"error": str(error)}, 503)


async def _on_our_fault(request: Request, error: Exception) -> Response:
    # The server logs the error itself, once it was answered.
    del request
    return _json({"error": f"a fault of the collector ({type(error).__name__}); its log has more"}, 500)
