"""Every error as JSON: `{"error": TEXT}`, one line that names the thing and the mend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pullwhy.collector.api.contract import Error
from pullwhy.collector.api.operation import JSON
from pullwhy.collector.params import BadParameter
from pullwhy.collector.records import StoreError
from pullwhy.text import printable


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response with `value`."""
    if value is None:
        return Response(status_code=status, headers=headers)
    common = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
    return Response(msgspec.json.encode(value), status, {**common, **(headers or {})}, JSON)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))
    known = {
        404: f"nothing at {printable(request.url.path, 100)}; see /openapi.json for what there is",
        405: f"{printable(request.method, 10)} is not answered here; allowed: {allowed}",
    }
    generic = error.detail in ("Not Found", "Method Not Allowed")
    return as_json(Error(known[error.status_code] if generic else error.detail), error.status_code, error.headers)


async def _on_bad_parameter(request: Request, error: Exception) -> Response:
    del request
    return as_json(Error(str(error)), 400)


async def _on_store_error(request: Request, error: Exception) -> Response:
    del request
    return as_json(Error(str(error)), 503)


async def _on_our_fault(request: Request, error: Exception) -> Response:
    # The server logs the error itself, once it was answered.
    del request
    return as_json(Error(f"a fault of the collector ({type(error).__name__}); its log has more"), 500)


HANDLERS: Final = {
    HTTPException: _on_http_exception,
    BadParameter: _on_bad_parameter,
    StoreError: _on_store_error,
    Exception: _on_our_fault,
}
