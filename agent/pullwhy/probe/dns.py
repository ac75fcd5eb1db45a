"""Resolves host names as Go's resolver does, and keeps what every nameserver said (Go 1.27: net/dnsclient_unix.go)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from pullwhy.plan import STUBS, Resolver
from pullwhy.probe.destinations import parse_address
from pullwhy.probe.nameserver import DECISIVE, Asking, ask
from pullwhy.trace import DNSFacts, DNSResult, NameserverAnswer

MAX_NAME: Final = 254
"""Characters of a name with its final dot."""
MAX_NAMES: Final = 8
"""Names tried for one host: itself and this many search domains less one (glibc's limit was 6; Go has none)."""
MAX_ANSWERS: Final = 64
"""Answers kept for one host."""
EVIDENCE_GRACE: Final = 0.25
"""Seconds that slower nameservers still have once the decisive answer is there: their word is evidence, not needed."""


def candidates(name: str, resolver: Resolver) -> tuple[str, ...]:
    """Return the fully qualified names that Go tries for `name`, in order (conf.nameList)."""
    if len(name) > MAX_NAME or not name:
        return ()
    if name.endswith("."):
        return () if _avoided(name) else (name,)
    absolute = name + "."
    searched = [absolute + suffix.strip(".") + "." for suffix in resolver.search if suffix.strip(".")]
    names = [absolute, *searched] if name.count(".") >= resolver.ndots else [*searched, absolute]
    return tuple(fqdn for fqdn in names if len(fqdn) <= MAX_NAME and not _avoided(fqdn))[:MAX_NAMES]


def _avoided(name: str) -> bool:
    """Tell whether Go never asks for a name (RFC 7686)."""
    return name.lower().rstrip(".").endswith(".onion")


def literal(host: str) -> DNSFacts | None:
    """Return the facts of a host that is an address, None for a name."""
    address = parse_address(host)
    return None if address is None else DNSFacts(host, "literal", (str(address),))


def from_hosts_file(host: str, resolver: Resolver) -> DNSFacts | None:
    """Return what the hosts file says, None where it says nothing."""
    wanted = host.rstrip(".").lower()
    found = tuple(
        address for address, names in resolver.hosts if wanted in (name.rstrip(".").lower() for name in names)
    )
    return DNSFacts(host, "hosts", found) if found else None


async def resolve(host: str, resolver: Resolver, asking: Asking) -> DNSFacts:
    """Resolve `host` in the resolver's own order; facts without addresses mean that it does not resolve."""
    known = literal(host)
    if known is not None:
        return known
    facts = DNSFacts(host, "hosts", ())
    for step in resolver.steps:
        found, status = await _look(step.source, host, resolver, asking)
        if found is not None:
            facts = replace(found, answers=(*facts.answers, *found.answers)[:MAX_ANSWERS])
        if facts.addresses or status in step.stops:
            break
    return facts


async def _look(source: str, host: str, resolver: Resolver, asking: Asking) -> tuple[DNSFacts | None, str]:
    """Ask one source; return what it said, and libc's word for its outcome."""
    listed = from_hosts_file(host, resolver)
    if source == "files" or (source == "resolve" and listed is not None):  # resolved reads the hosts file itself
        return listed, "success" if listed else "notfound"
    if source == "resolve":
        resolver = replace(resolver, nameservers=("127.0.0.53",))
    elif source != "dns":
        return None, "unavail"
    facts = await _from_nameservers(host, resolver, asking)
    result = facts.decisive.result if facts.decisive is not None else DNSResult.NXDOMAIN
    if set(resolver.nameservers) & STUBS and result is not DNSResult.ANSWERED and resolver.upstreams:
        facts = await _behind_resolved(facts, resolver, asking)
    if source == "resolve" and result is DNSResult.PORT_REFUSED:
        return _without_stub(facts), "notfound"
    status = {DNSResult.ANSWERED: "success", DNSResult.NXDOMAIN: "notfound", DNSResult.NODATA: "notfound"}
    return facts, status.get(result, "tryagain")


async def _behind_resolved(facts: DNSFacts, resolver: Resolver, asking: Asking) -> DNSFacts:
    """Ask the nameservers behind systemd-resolved for the name at which it stopped: is it their fault, or its own?"""
    name = facts.decisive.name if facts.decisive is not None else facts.name.rstrip(".") + "."
    said = await _ask_all(name, replace(resolver, nameservers=resolver.upstreams), asking)
    return replace(facts, answers=(*facts.answers, *(replace(one, upstream=True) for one in said))[:MAX_ANSWERS])


def _without_stub(facts: DNSFacts) -> DNSFacts:
    """Take the upstreams' word where resolved listens for libc only (DNSStubListener=no)."""
    said = tuple(answer for answer in facts.answers if answer.upstream)
    answered = next((answer for answer in said if answer.result is DNSResult.ANSWERED), None)
    decisive = answered or next(iter(said), facts.decisive)
    return replace(facts, addresses=answered.addresses if answered else (), decisive=decisive)


async def _from_nameservers(host: str, resolver: Resolver, asking: Asking) -> DNSFacts:
    answers: list[NameserverAnswer] = []
    decisive: NameserverAnswer | None = None
    absolute = host.rstrip(".") + "."
    for name in candidates(host, resolver):
        round_ = await _ask_all(name, resolver, asking)
        answers.extend(round_[: MAX_ANSWERS - len(answers)])
        answer = _stops_at(round_, resolver)
        if answer is None:
            continue
        if answer.result is DNSResult.ANSWERED:
            return _facts(host, answers, answer)
        if decisive is None or name == absolute:  # the name as written tells most
            decisive = answer
        if all(one.result is DNSResult.TIMED_OUT for one in round_):
            break  # Go would wait as long again for every search domain, to the same end
    return _facts(host, answers, decisive)


def _facts(host: str, answers: list[NameserverAnswer], decisive: NameserverAnswer | None) -> DNSFacts:
    if decisive is None:
        return DNSFacts(host, "dns", (), tuple(answers))
    absolute = host.rstrip(".") + "."
    suffix = decisive.name.removeprefix(absolute).rstrip(".")
    return DNSFacts(host, "dns", decisive.addresses, tuple(answers), decisive, suffix)


def _stops_at(answers: list[NameserverAnswer], resolver: Resolver) -> NameserverAnswer | None:
    """Return the answer at which Go stops: the first decisive one in the servers' order, else the last server's fault."""
    ordered = sorted(answers, key=lambda answer: resolver.nameservers.index(answer.server))
    return next((answer for answer in ordered if answer.result in DECISIVE), ordered[-1] if ordered else None)


async def _ask_all(name: str, resolver: Resolver, asking: Asking) -> list[NameserverAnswer]:
    """Ask every nameserver at once; stop waiting for the rest soon after the answer that decides for good."""
    servers = tuple(dict.fromkeys(resolver.nameservers))[:3]
    tasks = [asyncio.create_task(ask(asking, server, name)) for server in servers]
    try:
        for task in tasks:
            answer = await task
            if answer.result is DNSResult.ANSWERED:
                await asyncio.wait(tasks, timeout=EVIDENCE_GRACE)
                break
            if answer.result in DECISIVE:
                await asyncio.wait(tasks)
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [task.result() for task in tasks if not task.cancelled()]
