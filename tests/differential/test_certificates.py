"""Every odd certificate is shown to real containerds, which are Go programs of three ages, and their verdict is compared with ours."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from walking.mint import NOW, Served
from walking.oddcertificates import ROWS

from pullwhy.plan import GoBuild
from pullwhy.probe.gochain import Roots, refusal
from pullwhy.runtime.host.gobuild import read_build

from lab.errors import wait_for
from lab.lab import Lab, generations
from lab.namespace import own_environment
from lab.node import Node
from lab.services import Service

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

FOLDER = "/run/lab/certificates"
PULLS = Path(__file__).with_name("pulls.py")
STRICT = "x509negativeserial=0,rsa1024min=1"
LENIENT = "x509negativeserial=1,rsa1024min=0"
HOSTS = {name: f"{name}.{row.below or 'lab.test'}" for name, row in ROWS.items()}
UNSERVED = frozenset({"md5"})
"""OpenSSL shows it to no client that names the algorithms of certificates, as Go 1.25 and later do."""


@pytest.fixture(scope="module")
def served() -> dict[str, Served]:
    return {name: row.make(HOSTS[name]) for name, row in ROWS.items()}


@pytest.fixture(scope="module")
def lab(served: dict[str, Served]) -> Iterator[Lab]:
    with Lab() as running:
        place = running.place("certificates.lab.test", 443)
        for name, one in served.items():
            pem = b"".join(certificate.pem for certificate in one.chain) + one.key_pem
            running.servers.write(f"{FOLDER}/{HOSTS[name]}.pem", pem)
            running.dns.add(HOSTS[name], place.addresses[0])
        argv = [sys.executable, "-m", "lab.certserver", FOLDER, place.addresses[0], "443"]
        service = Service.define(running.servers, "lab-certificates", argv, env=own_environment(), journal=False)
        service.start()
        wait_for("the certificates' server", lambda: "ready" in service.log(), seconds=15, log=service.log)
        yield running


def prepared(lab: Lab, generation: str, served: dict[str, Served]) -> Node:
    node = lab.node(f"certificates-{generation}", containerd=generation)
    roots = {root.der: root.pem for one in served.values() for root in one.roots}
    node.write("/etc/roots.pem", b"".join(roots.values()))
    return node


@pytest.mark.parametrize("debug", [STRICT, LENIENT])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_containerd_judges_each_certificate_as_the_walk_does(
    lab: Lab, served: dict[str, Served], position: int, debug: str
) -> None:
    names = generations(lab.components)
    generation = names[min(position, len(names) - 1)]
    known = f"certificates-{generation}"
    node = lab.nodes[known] if known in lab.nodes else prepared(lab, generation, served)
    node.containerd.set_proxy(GODEBUG=debug, SSL_CERT_FILE="/etc/roots.pem")
    with lab.components.containerd[generation].open("rb") as program:
        go = read_build(program, debug)
    rows = [name for name, row in ROWS.items() if row.debug in debug.split(",") or (not row.debug and debug == STRICT)]
    images = {name: f"{HOSTS[name]}/team/app:1" for name in rows}
    said = json.loads(node.run([sys.executable, PULLS, *images.values()], seconds=300).stdout)
    roots = Roots.of([root.der for one in served.values() for root in one.roots])
    ours = {name: judged(served[name], HOSTS[name], roots, go) for name in rows}
    theirs = {name: said[images[name]] for name in rows}
    differences = [name for name in rows if not agree(ours[name], theirs[name], unserved=name in UNSERVED)]
    assert differences == [], "\n".join(f"{name}: {ours[name]!r}\n  {theirs[name]}" for name in differences)


def judged(served: Served, host: str, roots: Roots, go: GoBuild) -> str:
    found = refusal(served.ders, host, roots, NOW, go)
    return found.text if found is not None else ""


def agree(ours: str, theirs: str, *, unserved: bool) -> bool:
    """Whether both take the certificate, or both refuse it in the same words, the time and the reason of a wrong key aside."""
    taken = "not found" in theirs and "x509" not in theirs and "tls: " not in theirs
    if not ours:
        return taken
    if unserved and theirs.endswith("EOF"):
        return True
    words = ours.partition(": current time")[0].partition(' (possibly because of "the signature is not')[0]
    return not taken and words in theirs
