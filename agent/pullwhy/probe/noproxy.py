"""Which proxy the runtime would use for a URL, by the rules of Go's golang.org/x/net/http/httpproxy."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from pullwhy.frozen import frozen
from pullwhy.plan import Proxies
from pullwhy.secret import Secret

MAX_ENTRIES: Final = 1_000
"""Entries of NO_PROXY that are read."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class InvalidProxy(ValueError):
    """A proxy variable is no URL; the text never holds the value."""


@frozen
class ProxyAddress:
    """A proxy to go through."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: Secret = Secret("")
    misread: bool = False
    """The variable has a scheme and is no URL, so that Go takes the scheme for the proxy's name."""

    @property
    def authority(self) -> str:
        """Host and port, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def proxy_for(scheme: str, host: str, port: int, proxies: Proxies | None) -> ProxyAddress | None:
    """Return the proxy that `scheme://host:port` is asked through, None for a direct connection; raises InvalidProxy."""
    value = _value(scheme, proxies)
    if proxies is None or not value or bypassed(host, port, proxies.no_proxy):
        return None
    return parse_proxy(value, "HTTPS_PROXY" if scheme == "https" else "HTTP_PROXY")


def exempted(scheme: str, host: str, port: int, proxies: Proxies | None) -> bool:
    """Tell whether there is a proxy for `scheme`, and NO_PROXY alone keeps it from being used."""
    there = proxies is not None and bool(_value(scheme, proxies))
    return proxies is not None and there and bypassed(host, port, proxies.no_proxy) and not bypassed(host, port, "")


def _value(scheme: str, proxies: Proxies | None) -> Secret:
    if proxies is None:
        return Secret("")
    return proxies.https if scheme == "https" else proxies.http


def parse_proxy(value: Secret, variable: str) -> ProxyAddress | None:
    """Read a proxy variable's value as Go does: what is no URL is read again behind `http://`, and else counts for nothing.

    So `http://proxy:31x8` leads to a host of the name `http`. Raises InvalidProxy for one that cannot be dialled.
    """
    text = value.reveal()
    parts = _parsed(text)
    if parts is None or not parts.scheme or not parts.netloc:
        parts = _parsed(f"http://{text}")
    if parts is None:
        return None
    try:
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        raise InvalidProxy(f"{variable} has a port that there is not") from None
    if not host:
        raise InvalidProxy(f"{variable} names no host")
    if not port:
        raise InvalidProxy(f"{variable} has a scheme that no proxy speaks, and no port")
    scheme = parts.scheme if parts.scheme in _DEFAULT_PORTS else "http"
    misread = "://" in text and _parsed(text) is None
    return ProxyAddress(
        scheme, host, port, unquote(parts.username or ""), Secret(unquote(parts.password or "")), misread
    )


def _parsed(text: str) -> SplitResult | None:
    """Parse as Go's net/url does, as far as proxies go; None for what it refuses."""
    if any(character <= " " or character == "\x7f" for character in text):
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    place = parts.netloc.rpartition("@")[2].rpartition("]")[2]
    port = place.partition(":")[2]
    return None if port and not (port.isascii() and port.isdigit()) else parts


def bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether `host:port` is asked without a proxy: loopback always, else by an entry of NO_PROXY."""
    name = host.strip().lower()
    address = _address(name)
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = [entry.strip().lower() for entry in no_proxy.split(",", MAX_ENTRIES)[:MAX_ENTRIES]]
    return any(_entry_matches(entry, name, address, port) for entry in entries if entry)


def _entry_matches(
    entry: str, name: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int
) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        network = _network(entry) if entry.rpartition("/")[2].isdigit() else None  # a mask in full is no CIDR to Go
        if network is not None:
            return address is not None and address.version == network.version and address in network
    wanted, wanted_port = _split_port(entry)
    if wanted_port and wanted_port != str(port):
        return False
    if not wanted:
        return False
    listed = None if wanted.startswith("[") else _address(wanted)
    if listed is not None:
        return address == listed
    wanted = wanted.removeprefix("*") if wanted.startswith("*.") else wanted
    if wanted.startswith("."):
        return name.endswith(wanted)
    return name == wanted or name.endswith(f".{wanted}")


def _split_port(entry: str) -> tuple[str, str]:
    """Split as net.SplitHostPort does; an entry that it refuses (a bare IPv6 address) has no port."""
    if entry.startswith("["):
        host, bracket, rest = entry[1:].partition("]")
        return (host, rest[1:]) if bracket and rest.startswith(":") else (entry, "")
    if entry.count(":") != 1:
        return entry, ""
    host, _, port = entry.partition(":")
    return host, port


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
