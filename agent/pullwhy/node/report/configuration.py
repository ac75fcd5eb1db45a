"""What decides about pulls on this node, as named facts by which nodes can be told apart: an allow-list, without secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pullwhy.image import InvalidReference, parse
from pullwhy.node.walk.plan import NodeSight, Sources, node_resolver
from pullwhy.plan import Endpoint
from pullwhy.runtime.effective import effective
from pullwhy.runtime.host import pem
from pullwhy.runtime.host.hostfs import UnreadableFile
from pullwhy.runtime.host.resolver import NSSWITCH
from pullwhy.runtime.host.trust import trust_digests
from pullwhy.runtime.named import named_registries
from pullwhy.runtime.process import RuntimeProcess
from pullwhy.text import printable

MAX_REGISTRIES: Final = 32
"""Registries of which the facts are told."""
MAX_FAILING: Final = 8
"""Of them those that fail here: whoever makes pods names them, and is not to crowd out the others."""
MAX_VALUE: Final = 400
"""Characters of one fact."""
_DIGITS: Final = 16

Facts = Mapping[str, str]


@dataclass(slots=True)
class Configuration:
    """The facts, read again only when the configuration's fingerprint or the registries in question changed."""

    sources: Sources
    _state: object = None
    """What was read last: the node's files and its runtime."""
    _named: tuple[str, ...] = ()
    _wanted: tuple[str, ...] = ()
    _facts: Facts = field(default_factory=dict)

    def facts(self, sight: NodeSight, fingerprint: str, failing: Iterable[str], held: Iterable[str]) -> Facts:
        """Return the facts of the node, and of registries: those that fail here, that its files name, then those of its images.

        A registry without settings has facts too, the defaults: they are what tells a node that lacks a CA from others.
        """
        view = sight.view
        state = (fingerprint, view.name, view.version, view.config, view.process)
        changed = state != self._state
        if changed:
            self._state, self._named = state, named_registries(view)
        wanted = tuple(dict.fromkeys((*tuple(failing)[:MAX_FAILING], *self._named, *held)))[:MAX_REGISTRIES]
        if changed or wanted != self._wanted:
            told = dict(_of_node(sight, self.sources))
            for registry in wanted:
                told.update(_of_registry(registry, sight))
            self._facts = {key: printable(value, MAX_VALUE) for key, value in told.items()}
            self._wanted = wanted
        return self._facts


def _of_node(sight: NodeSight, sources: Sources) -> Iterator[tuple[str, str]]:
    view, process = sight.view, sight.view.process
    if view.config is not None:
        yield "config_path", view.config.config_path or "not set"
    yield "configuration managed by", view.managed_by or "nobody"
    if process is not None:
        yield from _of_process(process)
    variables = (process.ssl_cert_file, process.ssl_cert_dir) if process is not None else ("", "")
    yield "trust store", _digest(trust_digests(view.fs, *variables))
    resolver = node_resolver(sources, view.fs, process).resolver
    yield "nameservers", ", ".join(resolver.nameservers)
    if resolver.upstreams:
        yield "nameservers of systemd-resolved", ", ".join(resolver.upstreams)
    yield "search domains", ", ".join(resolver.search) or "none"
    tcp = " use-vc" if resolver.use_tcp else ""
    yield "resolver options", f"ndots:{resolver.ndots} timeout:{resolver.timeout:g} attempts:{resolver.attempts}{tcp}"
    try:
        lines = view.fs.text(NSSWITCH).splitlines()
    except UnreadableFile:
        lines = []
    hosts = next((line.removeprefix("hosts:").split() for line in lines if line.startswith("hosts:")), ())
    yield "nsswitch hosts", " ".join(hosts) or "not set"


def _of_process(process: RuntimeProcess) -> Iterator[tuple[str, str]]:
    if process.build.known:
        yield "runtime built with", f"Go 1.{process.build.minor}"
    if process.proxies is not None:
        for name, value in (("http", process.proxies.http), ("https", process.proxies.https)):
            yield f"proxy for {name}", "set" if value else "not set"
        yield "NO_PROXY", "set" if process.proxies.no_proxy else "not set"


def _of_registry(registry: str, sight: NodeSight) -> Iterator[tuple[str, str]]:
    try:
        found = effective(parse(f"{registry}/any/image"), sight.view).endpoints
    except InvalidReference:
        return
    if not found:
        yield f"{registry}: hosts", "none, its configuration fails every pull"
        return
    yield f"{registry}: hosts", ", ".join(dict.fromkeys(map(_name, found)))
    yield (
        f"{registry}: ca",
        _by_host(found, [_digest(pem.digests("".join(each.ca).encode().splitlines())) for each in found]),
    )
    yield f"{registry}: client certificate", _by_host(found, ["yes" if each.client else "no" for each in found])
    yield f"{registry}: skip_verify", _by_host(found, ["yes" if each.skip_verify else "no" for each in found])
    yield f"{registry}: capabilities", _by_host(found, list(map(_capabilities, found)))
    yield (
        f"{registry}: override_path",
        _by_host(found, ["no" if each.path.endswith("/v2") else "yes" for each in found]),
    )


def _name(endpoint: Endpoint) -> str:
    return f"http://{endpoint.authority}" if endpoint.scheme == "http" else endpoint.authority


def _capabilities(endpoint: Endpoint) -> str:
    able = [name for name, has in (("pull", endpoint.pull), ("resolve", endpoint.resolve)) if has]
    return " and ".join(able) or "none"


def _by_host(endpoints: Iterable[Endpoint], values: list[str]) -> str:
    """Return the one value, or each host with its own."""
    if len(set(values)) == 1:
        return values[0]
    pairs = zip(map(_name, endpoints), values, strict=True)
    return ", ".join(dict.fromkeys(f"{host} {value}" for host, value in pairs))


def _digest(certificates: Iterable[bytes]) -> str:
    """Return a short digest of a set of certificates, the same in whichever order and layout they come."""
    whole = b"".join(sorted(set(certificates)))
    return f"sha256:{hashlib.sha256(whole).hexdigest()[:_DIGITS]}" if whole else "none"
