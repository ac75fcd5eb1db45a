"""Asks for a repository's tags, to tell an absent tag from an absent repository and to name likely ones."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final

from pullwhy.probe import url as urls
from pullwhy.probe.answers import decode_json
from pullwhy.probe.client import Ask, Client, Headers

MAX_LIST: Final = 262_144
"""Bytes read of one page of tags."""
PAGE: Final = 1_000
"""Tags asked for."""
MAX_SIMILAR: Final = 5
MAX_COMPARED: Final = 2_000_000
"""Pairs of characters compared for likeness: about 0.1 s, whatever a registry lists."""
_CUTOFF: Final = 0.6
"""Likeness (difflib's ratio) from which a tag is shown."""
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_OK: Final = 200
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Tags:
    """What the list of tags showed."""

    repository_answers: bool | None = None
    """False where the registry says that there is no such repository, None where it could not be asked."""
    listed: bool | None = None
    """Whether the tag stands in the list; None where the list is not known as a whole."""
    similar: tuple[str, ...] = ()


async def look(client: Client, repository: str, tag: str, headers: Headers) -> Tags:
    """Ask for one page of tags with the headers that the manifest was asked with."""
    url = urls.of_endpoint(client.route.endpoint, f"{repository}/tags/list", f"n={PAGE}")
    reply = await client.ask(Ask("GET", url, private=headers, limit=MAX_LIST))
    if reply is None or reply.answer is None:
        return Tags()
    if reply.status == _NOT_FOUND and reply.facts.registry_api:
        return Tags(repository_answers=False)
    if reply.status != _OK:
        return Tags()
    decoded = decode_json(reply.answer.body)
    listed = decoded.get("tags") if isinstance(decoded, dict) else None
    if listed is None and isinstance(decoded, dict) and "name" in decoded:
        listed = []  # `"tags": null` is how an emptied repository answers
    if not isinstance(listed, list):
        return Tags()
    tags = [name for name in listed if isinstance(name, str) and _TAG.match(name)]
    whole = reply.answer.complete and not reply.answer.header("link")
    found = tag in tags
    return Tags(True, found if found or whole else None, similar(tag, tags))


def similar(tag: str, tags: list[str]) -> tuple[str, ...]:
    """Return the tags most like `tag`, the likest first."""
    if not tag:
        return ()
    left = MAX_COMPARED // len(tag)
    compared: list[str] = []
    for name in tags:
        left -= len(name)
        if left < 0:
            break
        compared.append(name)
    return tuple(difflib.get_close_matches(tag, [name for name in compared if name != tag], MAX_SIMILAR, _CUTOFF))
