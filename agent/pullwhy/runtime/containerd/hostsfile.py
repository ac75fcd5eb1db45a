"""Parses one hosts.toml into the hosts that containerd tries, in its order, or says why containerd throws the file away.

Source: containerd 1.6 to 2.3, remotes/docker/config/hosts.go, checked against what 1.6.20, 1.7.24 and 2.1.9 contact. A
file that does not parse is ignored as a whole.
"""

from __future__ import annotations

import codecs
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.runtime import toml, urls
from pullwhy.runtime.versions import Version
from pullwhy.secret import Secret

_CAPABILITIES: Final = ("pull", "resolve", "push")
_TIMEOUT: Final = 'write dial_timeout = "10s"'
_KNOWN_ONLY: Final = 'use only "pull", "resolve" and "push"'


class InvalidHostsFile(ValueError):
    """containerd refuses the file and carries on without it; `line` counts from 1."""

    def __init__(self, why: str, mend: str, line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.mend = mend
        self.line = line


class FatalHostsFile(InvalidHostsFile):
    """containerd 1.x crashes on the file: it sorts the hosts by their lines and takes each for a table (getSortedHosts)."""


@frozen
class HostEntry:
    """One host as a configuration names it; an empty authority is the image's own registry."""

    scheme: str = ""
    authority: str = ""
    path: str = ""
    resolve: bool = True
    pull: bool = True
    ca: tuple[str, ...] | None = None
    """Files; None where the key is absent, which is not the same as an empty list."""
    client: tuple[tuple[str, str], ...] | None = None
    """Files of certificate and key; the key's is empty where both are in one."""
    skip_verify: bool | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    dial_timeout: float | None = None
    line: int | None = None

    @property
    def sets_tls(self) -> bool:
        """Whether containerd sees TLS settings of this host's own."""
        return self.ca is not None or self.client is not None or self.skip_verify is not None


@frozen
class _File:
    """A file as its tables see it."""

    text: str
    marks: tuple[toml.Header, ...]
    directory: str
    version: Version


@frozen
class _Place:
    """A table of the file: where faults are, for their line."""

    file: _File
    table: tuple[str, ...]
    line: int | None = None

    @property
    def version(self) -> Version:
        return self.file.version

    def value(self, table: toml.Table, key: str) -> Any:
        """Return a key's value; also in capitals, and from 2.0 on (go-toml 2) in any case."""
        if self.version.at_least(2, 0):
            return toml.get(table, key)
        return table.get(key, table.get(key.upper()))

    def fault(self, key: str, why: str, mend: str) -> InvalidHostsFile:
        return InvalidHostsFile(why, mend, toml.line_of(self.file.text, self.table, key) or self.line)

    def path(self, name: str) -> str:
        return name if name.startswith("/") else f"{self.file.directory}/{name}"


def parse_hosts_file(data: bytes, directory: str, version: Version) -> tuple[HostEntry, ...]:
    """Return the hosts in the order in which containerd tries them; the last one is the `server` (or its absence).

    Raises InvalidHostsFile where containerd's reader fails.
    """
    if not version.at_least(2, 0):
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        document = toml.parse(data, go_toml_1=not version.at_least(2, 0))
    except toml.InvalidTOML as error:
        at = f", column {error.column}" if error.column else ""
        raise InvalidHostsFile(f"it is no TOML: {error.why}{at}", "correct that line", error.line) from None
    text = data.decode()
    file = _File(text, toml.headers(text), directory, version)
    root = _Place(file, (), toml.line_of(text, (), "server"))
    hosts = document.get("host")
    _check_tables(hosts, file)
    if hosts is None and not version.at_least(2, 0):
        raise InvalidHostsFile(
            "it has no [host] table, which this containerd asks for (invalid `host` tree)",
            'add a host table, such as [host."https://name"] for the server itself',
        )
    hosts = hosts or {}
    _check_all(document, file)
    lines = {mark.keys: mark.line for mark in reversed(file.marks)}
    places = {url: _Place(file, ("host", url), lines.get(("host", url))) for url in hosts}
    entries = [_entry(url, hosts[url], places[url]) for url in _order(file, hosts)]
    server = root.value(document, "server")
    if server is not None and not isinstance(server, str):
        raise root.fault("server", "`server` is no text", 'write server = "https://name"')
    return (*entries, _entry(server or "", document, root))


def _check_tables(hosts: Any, file: _File) -> None:
    if hosts is None or (isinstance(hosts, dict) and all(isinstance(host, dict) for host in hosts.values())):
        return
    mend = 'write each host as [host."https://name"]'
    if not isinstance(hosts, dict) or len(hosts) == 1 or file.version.at_least(2, 0):
        raise InvalidHostsFile("`host` is no table of hosts", mend)
    name = next(url for url, host in hosts.items() if not isinstance(host, dict))
    raise FatalHostsFile(f"the host {urls.without_user_info(name)[:200]!r} is no table", mend, _mention(file, name))


def _mention(file: _File, text: str) -> int | None:
    """Return the first line that names a host."""
    return next((number for number, line in enumerate(file.text.split("\n"), 1) if text and text in line), None)


def _check_all(document: toml.Table, file: _File) -> None:
    """Check the hosts that are decoded without being tried: from 2.0 on `Host` fills the field `host` too."""
    if not file.version.at_least(2, 0):
        return
    for name, hosts in document.items():
        if name.lower() != "host" or not isinstance(hosts, dict):
            continue
        for url, table in hosts.items():
            place = _Place(file, (name, url))
            if not isinstance(table, dict):
                raise place.fault("", "`host` is no table of hosts", 'write each host as [host."https://name"]')
            for key in ("override_path", "skip_verify"):
                _boolean(table, key, place)
            _names(table, place)
            _header_table(table, place)
            _timeout_text(table, place)


def _order(file: _File, hosts: toml.Table) -> list[str]:
    """Return the hosts' keys in containerd's order.

    1.x sorts the keys by line. 2.x goes by the table headers alone: it overlooks hosts written inline or as dotted keys,
    and tries a host again whose sub-table stands after another host.
    """
    if not file.version.at_least(2, 0):
        return list(hosts)
    order: list[str] = []
    for mark in file.marks:
        if len(mark.keys) > 1 and mark.keys[0] == "host" and mark.keys[1] not in order[-1:]:
            order.append(mark.keys[1])
    return order


def _entry(url: str, table: toml.Table, place: _Place) -> HostEntry:
    override = _boolean(table, "override_path", place) or False
    address = _address(url, override, place)
    resolve, pull = _capabilities(table, place)
    return HostEntry(
        scheme=address.scheme,
        authority=address.authority,
        path=address.path,
        resolve=resolve,
        pull=pull,
        ca=_ca(table, place),
        client=_client(table, place),
        skip_verify=_boolean(table, "skip_verify", place),
        headers=_headers(table, place),
        dial_timeout=_dial_timeout(table, place),
        line=place.line,
    )


def _address(url: str, override: bool, place: _Place) -> urls.Address:
    if not url:
        return urls.Address("", "", "")
    key = "server" if not place.table else ""
    try:
        address = urls.parse_url(url if url.startswith("http") else f"https://{url}")
    except ValueError as error:
        raise place.fault(
            key,
            f"{urls.without_user_info(url)[:200]!r} is no address: {error}",
            "write it as https://name or https://name:port",
        ) from None
    path = urls.clean_path(address.path)
    if not override and not path.endswith("/v2"):
        path += "/v2"
    return urls.Address(address.scheme, address.authority, path)


def _capabilities(table: toml.Table, place: _Place) -> tuple[bool, bool]:
    names = _names(table, place)
    if not names:
        return True, True
    known = (*_CAPABILITIES, "referrers") if place.version.at_least(2, 2) else _CAPABILITIES
    for name in names:
        if name not in known:
            raise place.fault("capabilities", f"unknown capability {name[:40]!r}", _KNOWN_ONLY)
    return "resolve" in names, "pull" in names


def _names(table: toml.Table, place: _Place) -> tuple[str, ...]:
    values = place.value(table, "capabilities")
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise place.fault("capabilities", "`capabilities` is no list of texts", _KNOWN_ONLY)
    return tuple(value.lower() for value in values)


def _ca(table: toml.Table, place: _Place) -> tuple[str, ...] | None:
    value = place.value(table, "ca")
    if value is None:
        return None
    if isinstance(value, str):
        return (place.path(value),)
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return tuple(place.path(name) for name in value)
    raise place.fault("ca", "`ca` is neither a file name nor a list of them", 'write ca = "ca.crt"')


def _client(table: toml.Table, place: _Place) -> tuple[tuple[str, str], ...] | None:
    value = place.value(table, "client")
    if value is None:
        return None
    if isinstance(value, str):
        return ((place.path(value), ""),)
    pairs = [_pair(item, place) for item in value] if isinstance(value, list) else [None]
    found = [pair for pair in pairs if pair is not None]
    if len(found) < len(pairs):
        mend = 'write client = [["client.cert", "client.key"]]'
        raise place.fault("client", "`client` is neither a file name nor a list of pairs", mend)
    return tuple(found) or None


def _pair(item: Any, place: _Place) -> tuple[str, str] | None:
    match item:
        case str():
            return place.path(item), ""
        case [str(certificate), str(key)]:
            return place.path(certificate), place.path(key)
        case _:
            return None


def _headers(table: toml.Table, place: _Place) -> tuple[tuple[str, Secret], ...]:
    found: list[tuple[str, Secret]] = []
    for name, content in _header_table(table, place).items():
        contents = [content] if isinstance(content, str) else content
        if not isinstance(contents, list) or not all(isinstance(text, str) for text in contents):
            raise place.fault(
                "header", f"the header {name[:40]!r} is neither a text nor a list of texts", "quote its value"
            )
        found.extend((name, Secret(text)) for text in contents)
    return tuple(found)


def _header_table(table: toml.Table, place: _Place) -> toml.Table:
    value = place.value(table, "header")
    if value is None or isinstance(value, dict):
        return value or {}
    raise place.fault("header", "`header` is no table", "write the headers in a table [….header]")


def _boolean(table: toml.Table, key: str, place: _Place) -> bool | None:
    value = place.value(table, key)
    if value is None or isinstance(value, bool):
        return value
    raise place.fault(key, f"`{key}` is neither true nor false", f"write {key} = false, without quotes")


def _dial_timeout(table: toml.Table, place: _Place) -> float | None:
    text = _timeout_text(table, place)
    try:
        return urls.seconds(text) if text else None
    except ValueError as error:
        raise place.fault("dial_timeout", f"`dial_timeout`: {error}", _TIMEOUT) from None


def _timeout_text(table: toml.Table, place: _Place) -> str:
    value = place.value(table, "dial_timeout") if place.version.at_least(2, 1) else None
    if value is None or isinstance(value, str):
        return value or ""
    raise place.fault("dial_timeout", "`dial_timeout` is no text", _TIMEOUT)
