"""By what an image is looked for in the store."""

from __future__ import annotations

import functools

from pullwhy.image import InvalidReference, parse


@functools.lru_cache(maxsize=1024)  # a burst is often one image on many nodes
def image_columns(text: str) -> tuple[str, str]:
    """Return how an image is looked for: its canonical reference and its repository; a text that is no reference as it is."""
    try:
        reference = parse(text)
    except InvalidReference:
        return text, text
    # The digest alone decides what is pulled; the tag beside it is decoration.
    canonical = f"{reference.name}@{reference.digest}" if reference.digest else str(reference)
    return canonical, reference.name
