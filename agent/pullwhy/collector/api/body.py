"""The body of a request: small, JSON, of the type that its operation names, and there within seconds."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from pullwhy.collector.api.operation import JSON
from pullwhy.text import printable

MAX_BODY: Final = 2 * 1024 * 1024
"""Bytes; the names of 20,000 nodes have fewer."""
BODY_SECONDS: Final = 10.0


async def read_body(request: Request, kind: Any) -> Any:
    """Return the body as a `kind`; raises HTTPException."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != JSON:
        raise HTTPException(415, f"content-type is '{printable(media, 60)}': send {JSON}")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            data = await _bytes(request)
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {BODY_SECONDS:.0f} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the body is cut off") from None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"the body: {printable(str(error), 300)}") from None


async def _bytes(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise HTTPException(413, f"the body has more than {MAX_BODY} bytes")
    return bytes(data)
