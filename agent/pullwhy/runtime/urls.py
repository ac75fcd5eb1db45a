"""Addresses in the runtimes' configuration, split as Go's net/url and net split them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from pullwhy.frozen import frozen

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HOST: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=-]*\Z")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~-]+)?)\]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_PORT: Final = 65535


@frozen
class Address:
    """A URL's parts. `authority` is as written, without user info: what containerd compares with the image's registry."""

    scheme: str
    authority: str
    path: str

    @property
    def port(self) -> str:
        """The port as written, empty where there is none."""
        return split_port(self.authority)[1]


def parse_url(text: str) -> Address:
    """Split a URL; raises ValueError in Go's words for what Go refuses (net/url.Parse)."""
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):  # noqa: PLR2004 - ASCII controls
        raise ValueError("invalid control character in URL")
    rest = text.partition("#")[0]
    scheme = _SCHEME.match(rest)
    if scheme:
        rest = rest[scheme.end() :]
    elif rest.startswith(":"):
        raise ValueError("missing protocol scheme")
    name = scheme[1].lower() if scheme else ""
    rest = rest.partition("?")[0]
    if not rest.startswith("//"):
        # `host:5000/path` reads as a scheme with an opaque rest: no host at all.
        return Address(name, "", "" if name and not rest.startswith("/") else _unescape(rest))
    authority, slash, path = rest[2:].partition("/")
    return Address(name, _authority(authority.rpartition("@")[2]), _unescape(slash + path))


def without_user_info(text: str) -> str:
    """Return an address without the user and password in it, also where it is malformed: people write slashes in passwords."""
    head, slashes, rest = text.partition("//")
    if not slashes:
        head, rest = "", text
    authority, slash, path = rest.partition("/")
    port = split_port(authority)[1]
    if "@" in path and (not slashes or (port and not port.isdigit())):
        return head + slashes + rest.rpartition("@")[2]
    return head + slashes + authority.rpartition("@")[2] + slash + path


def split_port(authority: str) -> tuple[str, str]:
    """Split `host:port`; the host comes without brackets, the port empty where there is none."""
    bracketed = _BRACKETED.match(authority)
    if bracketed:
        return bracketed[1].replace("%25", "%"), authority[bracketed.end() :].removeprefix(":")
    host, colon, port = authority.rpartition(":")
    return (host, port) if colon else (authority, "")


def port_number(port: str, scheme: str) -> int:
    """Return a written port as a number, the scheme's own where it is empty; raises ValueError."""
    if not port:
        return 80 if scheme == "http" else 443
    if not (port.isascii() and port.isdigit() and int(port[:6]) <= _MAX_PORT):
        raise ValueError(f"the port {port[:20]!r} is no number up to {_MAX_PORT}")
    return int(port)


def clean_path(path: str) -> str:
    """Return a path as containerd joins it before every request: absolute, without `.`, `..` and doubled slashes."""
    done: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del done[-1:]
        elif part not in {"", "."}:
            done.append(part)
    return "/" + "/".join(done) if done else ""


def is_loopback(authority: str) -> bool:
    """Whether containerd holds a registry for local (containerd 1.7: remotes/docker, IsLocalhost)."""
    # Go's net.SplitHostPort refuses a bracketed address without a port, and what is left is no IP address.
    host = authority if authority.startswith("[") and authority.endswith("]") else split_port(authority)[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def within(authority: str, networks: Iterable[str]) -> bool:
    """Whether a registry named by address, or as localhost, is in one of the networks; entries that are none do not count."""
    host = split_port(authority)[0]
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, networks) if network is not None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def seconds(text: str) -> float:
    """Return a Go duration such as `1m30s` in seconds; raises ValueError (Go: time.ParseDuration)."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    while position < len(rest):
        part = _DURATION.match(rest, position)
        if part is None:
            break
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if not rest or position < len(rest):
        raise ValueError(f'{text[:40]!r} is no duration such as "10s"')
    return sign * total


def _authority(authority: str) -> str:
    bracketed = _BRACKETED.match(authority)
    host, port = (authority[: bracketed.end()], authority[bracketed.end() :]) if bracketed else (authority, "")
    if not bracketed:
        host, colon, port = authority.rpartition(":") if ":" in authority else (authority, "", "")
        port = colon + port
        if not _HOST.match(host):
            raise ValueError(f"invalid character in host name {host[:80]!r}")
    if port and not (port.startswith(":") and (port == ":" or (port.isascii() and port[1:].isdigit()))):
        raise ValueError(f"invalid port {port[:20]!r} after host")
    return authority


def _unescape(path: str) -> str:
    if _BAD_ESCAPE.search(path):
        raise ValueError("invalid URL escape")
    return unquote(path)
