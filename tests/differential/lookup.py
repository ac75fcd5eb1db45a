"""Resolves names as the walk does on this node, and prints addresses and the decisive answer as JSON. Runs on a node of the lab."""

import asyncio
import json
import secrets
import sys

from pullwhy.plan import GoBuild
from pullwhy.probe.clock import SystemClock
from pullwhy.probe.dns import resolve
from pullwhy.probe.nameserver import Asking
from pullwhy.probe.network import RealNetwork
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.resolver import read_resolver


async def main(names: list[str]) -> None:
    """Resolve all and print what came."""
    resolver = read_resolver(HostFS(), hostname="node", go=GoBuild(24, cgo=True)).resolver
    told = {}
    for name in names:
        asking = Asking(RealNetwork(), SystemClock(), 1.0, 2, resolver.use_tcp, lambda: secrets.randbelow(1 << 16))
        facts = await resolve(name, resolver, asking)
        decisive = facts.decisive
        told[name] = {
            "addresses": facts.addresses,
            "server": decisive.server if decisive and not resolver.libc else "",
            "result": decisive.result if decisive else "",
            "libc": resolver.libc,
        }
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
