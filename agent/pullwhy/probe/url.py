"""URLs of registries, realms and redirects; what a stranger names is checked before anything is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from pullwhy.frozen import frozen
from pullwhy.plan import Endpoint

MAX_LENGTH: Final = 8_192
"""Characters of a URL; signed ones of object stores have about 1,500."""
_PORTS: Final = {"http": 80, "https": 443}
_PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"


class InvalidURL(ValueError):
    """A text is no URL that may be asked; the text of the error does not repeat it."""


@frozen
class URL:
    """One place to ask. The query may hold a signature, so the text form leaves it out."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    names_port: bool = False
    """Whether the port is written out though it is the scheme's own."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what a connection and a credential are bound to."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own and not written out, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] and not self.names_port else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query as sent to the server."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def in_plain(self, port: int = 0) -> URL:
        """Return the same place in plain HTTP; a port that neither is given nor written out changes with the scheme."""
        default = self.port == _PORTS[self.scheme] and not self.names_port
        return replace(self, scheme="http", port=port or (_PORTS["http"] if default else self.port))


def of_endpoint(endpoint: Endpoint, path: str, query: str = "") -> URL:
    """Return the URL of `path` below an endpoint."""
    host = endpoint.host.strip("[]").lower()
    target = quote(f"{endpoint.path}/{path}", safe=_PATH_SAFE)
    return URL(endpoint.scheme, host, endpoint.port, target, query, endpoint.names_port)


def parse(text: str, base: URL | None = None) -> URL:
    """Return the URL that a realm or Location names; user info and fragment are dropped; raises InvalidURL."""
    if len(text) > MAX_LENGTH:
        raise InvalidURL("the URL is too long")
    try:
        whole = urljoin(f"{base.scheme}://{base.authority}{base.target}", text) if base is not None else text
        parts = urlsplit(whole)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidURL("the URL cannot be parsed") from error
    if scheme not in _PORTS:
        raise InvalidURL("the URL is neither http nor https")
    if not host or not host.isascii() or not all(character.isalnum() or character in "-._:" for character in host):
        raise InvalidURL("the URL names no usable host")
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    query = quote(parts.query, safe=_PATH_SAFE + "?")
    return URL(scheme, host, port or _PORTS[scheme], path, query)
