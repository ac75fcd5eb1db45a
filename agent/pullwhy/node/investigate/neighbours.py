"""Names that are spelled like one that a registry does not know, from what the node itself has: no catalogue is asked for."""

from __future__ import annotations

from typing import Final

from pullwhy.image import ImageReference, parsed
from pullwhy.likeness import similar
from pullwhy.model import CauseId
from pullwhy.runtime.cri import CRIClient, CRIError, Image

MAX_IMAGES: Final = 2_000
"""Images of the node that are looked at."""
DOUBTS_THE_NAME: Final = frozenset({CauseId.REPOSITORY_NOT_FOUND, CauseId.ACCESS_DENIED_OR_NOT_FOUND})
"""Causes behind which a misspelled repository may be."""


async def similar_repositories(client: CRIClient | None, image: ImageReference) -> tuple[str, ...]:
    """Return repositories of the same registry of which the node has images, the likest first; nothing where CRI does not answer."""
    if client is None:
        return ()
    try:
        images = await client.images()
    except CRIError:
        return ()
    return similar(image.repository, repositories(images[:MAX_IMAGES], image.registry))


def repositories(images: tuple[Image, ...], registry: str) -> tuple[str, ...]:
    """Return the repositories of `registry` among the names of `images`."""
    found: dict[str, None] = {}
    for name in (name for image in images for name in (*image.tags, *image.digests)):
        reference = parsed(name)
        if reference is not None and reference.registry == registry:
            found[reference.repository] = None
    return tuple(found)
