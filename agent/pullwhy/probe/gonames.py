"""Which names a certificate covers for Go, and which its authorities may vouch for (Go 1.27: crypto/x509/verify.go)."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from pullwhy.probe.destinations import parse_address
from pullwhy.probe.gocert import GoCertificate, Network, is_domain
from pullwhy.text import printable

MAX_COMPARISONS: Final = 250_000
"""Names times constraints that are compared for one certificate (Go: maxConstraintComparisons)."""

_LABEL: Final = re.compile(r"[a-z0-9_][a-z0-9_-]*")


def covers(name: str, host: str) -> bool:
    """Tell whether the DNS name `name` of a certificate covers `host`, which is no address.

    A wildcard stands for one whole first label, of any name: `*.lan` too. A name with a dot at its end covers nothing but
    itself, whereas the host's own last dot is taken off.
    """
    host, name = host.lower(), name.lower()
    if not (_is_name(host.removesuffix("."), pattern=False) and _is_name(name, pattern=True)):
        return bool(name) and name not in {".", ""} and name == host
    labels, wanted = name.split("."), host.removesuffix(".").split(".")
    same = len(labels) == len(wanted) and labels[1:] == wanted[1:]
    return same and labels[0] in {"*", wanted[0]}


def _is_name(name: str, *, pattern: bool) -> bool:
    if not name or name == "*":
        return False
    labels = name.split(".")
    return all((pattern and i == 0 and label == "*") or _LABEL.fullmatch(label) for i, label in enumerate(labels))


def mismatch(leaf: GoCertificate, host: str) -> str:
    """Return Go's words for a certificate that does not cover `host`, empty for one that does."""
    address = parse_address(host.strip("[]"))
    if address is not None:
        if any(address == own for own in leaf.addresses):
            return ""
        if not leaf.addresses:
            return f"x509: cannot validate certificate for {host} because it doesn't contain any IP SANs"
        names = ", ".join(map(str, leaf.addresses[:8]))
        return f"x509: certificate is valid for {names}, not {host}"
    if any(covers(name, host) for name in leaf.dns_names):
        return ""
    if not leaf.has_names and covers(leaf.common_name, host):
        return "x509: certificate relies on legacy Common Name field, use SANs instead"
    names = printable(", ".join(leaf.dns_names[:8]), 200)
    if not names:
        return f"x509: certificate is not valid for any names, but wanted to match {host}"
    return f"x509: certificate is valid for {names}, not {host}"


def constrained(authority: GoCertificate, chain: list[GoCertificate]) -> str:
    """Return Go's words where `authority` may not vouch for a name of the chain below it, empty where it may."""
    if not authority.permitted and not authority.excluded:
        return ""
    budget = MAX_COMPARISONS
    for certificate in (one for one in chain if one.has_names):
        for name in (*certificate.dns_names, *certificate.addresses):
            budget -= len(authority.permitted) + len(authority.excluded)
            if budget < 0:
                return "x509: too many constraints"
            why = _why_not(authority, name)
            if why:
                lead = "x509: a root or intermediate certificate is not authorized to sign for this name: "
                return f"{lead}{why}"
    return ""


def _why_not(authority: GoCertificate, name: str | ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    kind = "DNS name" if isinstance(name, str) else "IP"
    shown = f'{kind} "{printable(str(name), 100)}"'
    if isinstance(name, str) and not is_domain(name.removeprefix("*.")):
        return f"cannot parse dnsName {shown}"
    excluded = next((base for base in authority.excluded if _within(name, base)), None)
    if excluded is not None:
        return f'{shown} is excluded by constraint "{printable(str(excluded), 100)}"'
    permitted = [base for base in authority.permitted if isinstance(base, str) == isinstance(name, str)]
    if permitted and not any(_within(name, base) for base in permitted):
        return f"{shown} is not permitted by any constraint"
    return ""


def _within(name: str | ipaddress.IPv4Address | ipaddress.IPv6Address, base: str | Network) -> bool:
    if isinstance(base, str):
        if not isinstance(name, str):
            return False
        name, base = name.lower(), base.lower()
        if base.startswith("."):  # Go lets it stand for names below only
            return name.endswith(base)
        return not base or name == base or name.endswith(f".{base}")
    return not isinstance(name, str) and name.version == base.version and name in base
