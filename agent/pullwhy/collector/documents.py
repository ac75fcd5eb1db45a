"""Documents as they arrive and as they are stored: decoded as everybody decodes them."""

from __future__ import annotations

from pullwhy.diagnose.document.decoding import decode as decode  # noqa: PLC0414 - the collector's name for it
