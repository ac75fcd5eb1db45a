"""Faults that Go sees and other clients do not: certificates that it does not take, its hello, its trust, its resolver."""

import sys
from pathlib import Path

from walking.oddcertificates import ROWS

from matrix.fault import OWN, Fault, Make, PodSpec, nothing
from matrix.servers import Servers

from lab.certificates import Pair
from lab.faultregistry import FaultRegistry
from lab.namespace import own_environment
from lab.node import Node
from lab.services import Service

PULLS = Path(__file__).resolve().parents[1] / "differential" / "pulls.py"
STUB = "127.0.0.53"
RECORDS, LOG = "/run/lab/stub.json", "/run/lab/stub.log"


def odd(name: str) -> Make:
    """Return how a node comes to a registry that shows an odd certificate, below an authority that the node trusts."""

    def make(servers: Servers, node: Node) -> PodSpec:
        host = f"odd-{name}.lab.test"
        served = ROWS[name].make(host)
        pair = Pair(b"".join(one.pem for one in served.chain), served.key_pem)
        registry = servers.shown(host, pair)
        node.trust(registry.place, b"".join(one.pem for one in served.roots))
        return PodSpec(f"{registry.host}/shop/web:1.0")

    return make


def lost_hello(servers: Servers, node: Node) -> PodSpec:
    """A path that loses large packets on the way out, and a runtime whose hello takes two of them."""
    registry = servers.listed("hello")
    node.trust(registry.place, servers.lab.authority.pem)
    node.containerd.set_proxy(GODEBUG="tlsmlkem=1")
    node.faults.drop_large(registry.place.addresses[0], size=1_000)
    return PodSpec(f"{registry.host}/shop/web:1.0")


def trusted_too_late(servers: Servers, node: Node) -> PodSpec:
    """An authority that came into the system's trust store after containerd had read it, at its first handshake."""
    registry: FaultRegistry = servers.listed("late")
    node.run([sys.executable, PULLS, f"{registry.host}/shop/first:1.0"])
    node.write("/usr/local/share/ca-certificates/lab.crt", servers.lab.authority.pem)
    node.run(["update-ca-certificates"])
    return PodSpec(f"{registry.host}/shop/web:1.0")


def criteria(servers: Servers, node: Node) -> PodSpec:
    """A name that only DNS knows, and an nsswitch.conf that ends the search before DNS is asked."""
    registry = servers.listed("criteria")
    node.write("/etc/nsswitch.conf", "passwd: files\nhosts: files [!SUCCESS=return] dns\n")
    node.containerd.restart()
    return PodSpec(f"{registry.host}/shop/web:1.0")


def resolved_fails(servers: Servers, node: Node) -> PodSpec:
    """systemd-resolved's address answers that it cannot, while the nameservers behind it can."""
    registry = servers.listed("behind-resolved")
    answer = '{"server": null, "addresses": [], "fault": "servfail", "delay": 0}'
    node.write(RECORDS, f'{{"names": {{"{registry.place.host}": [{answer}]}}}}')
    node.write(LOG, "")
    argv = [sys.executable, "-m", "lab.dnsserver", RECORDS, LOG, STUB]
    Service.define(node.namespace, "lab-stub", argv, env=own_environment(), journal=False).start()
    node.write("/run/systemd/resolve/resolv.conf", servers.lab.dns.resolv_conf())
    node.set_name_servers(STUB)
    node.containerd.restart()
    return PodSpec(f"{registry.host}/shop/web:1.0")


FAULTS = (
    Fault("name in the common name alone", odd("common-name-only"), "CertificateNameMismatch", "TLS"),
    Fault("certificate signed with SHA-1", odd("sha1"), "TLSHandshakeFailed", "TLS"),
    Fault("certificate for clients only", odd("client-usage-only"), "TLSHandshakeFailed", "TLS"),
    Fault("authority that may not sign", odd("root-may-not-sign"), "TLSHandshakeFailed", "TLS"),
    Fault("authority for other names", odd("name-not-permitted"), "TLSHandshakeFailed", "TLS"),
    Fault("certificate that Go cannot read", odd("address-of-5-bytes"), "TLSHandshakeFailed", "TLS"),
    Fault("intermediate expired", odd("expired-intermediate"), "CertificateExpired", "TLS"),
    Fault("authority expired", odd("expired-root"), "CertificateExpired", "TLS"),
    Fault("large hello lost", lost_hello, "TLSHandshakeTimedOut", "TLS", home=OWN, generations=("1.7", "2.1")),
    Fault("authority trusted too late", trusted_too_late, "CertificateUntrusted", "TLS", home=OWN, mend=nothing),
    Fault("search ended before DNS", criteria, "DNSNameNotFound", "DNS", home=OWN),
    Fault("systemd-resolved fails", resolved_fails, "DNSServerFailure", "DNS", home=OWN),
)
