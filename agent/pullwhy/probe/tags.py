"""Asks for a repository's tags, to tell an absent tag from an absent repository and to name likely ones."""

from __future__ import annotations

import re
from typing import Final

from pullwhy.frozen import frozen
from pullwhy.likeness import similar
from pullwhy.probe import url as urls
from pullwhy.probe.answers import decode_json
from pullwhy.probe.client import Ask, Client, Headers, Reply
from pullwhy.probe.url import URL, InvalidURL

MAX_LIST: Final = 262_144
"""Bytes read of one page of tags."""
PAGE: Final = 1_000
"""Tags asked for."""
MAX_PAGES: Final = 4
"""Pages of tags read; a registry with more is not asked for all of them."""
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_NEXT: Final = re.compile(r"\s{0,4}<([^<>\s]{1,2000})>")
_OK: Final = 200
_NOT_FOUND: Final = 404


@frozen
class Tags:
    """What the list of tags showed."""

    repository_answers: bool | None = None
    """False where the registry says that there is no such repository, None where it could not be asked."""
    listed: bool | None = None
    """Whether the tag stands in the list; None where the list is not known as a whole."""
    similar: tuple[str, ...] = ()


async def look(client: Client, repository: str, tag: str, headers: Headers, pages: int = MAX_PAGES) -> Tags:
    """Ask for pages of tags with the headers that the manifest was asked with, until the tag is found or they end."""
    url = urls.of_endpoint(client.route.endpoint, f"{repository}/tags/list", f"n={PAGE}")
    known: list[str] = []
    for number in range(pages):
        reply = await client.ask(Ask("GET", url, private=headers, limit=MAX_LIST))
        page = _page(reply, url)
        if page is None:
            absent = reply is not None and reply.status == _NOT_FOUND and reply.facts.registry_api
            return Tags(True, None, similar(tag, known)) if number else Tags(False if absent else None)
        known += page.names
        if tag in page.names or page.whole or page.following is None:
            listed = tag in known
            return Tags(True, listed if listed or page.whole else None, similar(tag, known))
        url = page.following
    return Tags(True, None, similar(tag, known))


@frozen
class _Page:
    """One page of tags."""

    names: list[str]
    whole: bool
    """Whether the list ends with it."""
    following: URL | None
    """Where the next one is; None where there is none, or it is not to be asked for."""


def _page(reply: Reply | None, url: URL) -> _Page | None:
    """Read one page and where the next is (RFC 8288: `Link: <...>; rel="next"`); None where it is none."""
    if reply is None or reply.answer is None or reply.status != _OK:
        return None
    decoded = decode_json(reply.answer.body)
    listed = decoded.get("tags") if isinstance(decoded, dict) else None
    if listed is None and isinstance(decoded, dict) and "name" in decoded:
        listed = []  # `"tags": null` is how an emptied repository answers
    if not isinstance(listed, list):
        return None
    link = reply.answer.header("link")
    names = [name for name in listed if isinstance(name, str) and _TAG.match(name)]
    return _Page(names, reply.answer.complete and not link, _following(link, url))


def _following(link: str, url: URL) -> URL | None:
    target = _NEXT.match(link)
    try:
        following = urls.parse(target[1], url) if target else None
    except InvalidURL:
        return None
    return following if following is not None and following.origin == url.origin else None
