"""Names are resolved by real containerds, which leave some to libc, under many configurations, and by the walk: both must agree.

Nothing listens at the addresses, so that containerd's error tells which of them it took.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.lab import Lab, generations

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
FIRST, SECOND = "10.90.0.2", "10.90.0.3"
TAKEN = re.compile(r"dial tcp (\S+):443")
ASKED = re.compile(r"lookup \S+? on (\S+):53")
FILE = f"{SECOND} listed.lab.test both.lab.test\n"
BOTH = f"nameserver {FIRST}\nnameserver {SECOND}\n"
QUICK = "options timeout:1 attempts:1\n"


@dataclass(frozen=True)
class Setting:
    """One way in which a node may be set up."""

    resolv_conf: str = BOTH
    nsswitch: str = "hosts: files dns\n"
    hosts: str = FILE


SETTINGS = {
    "usual": Setting(),
    "dns first": Setting(nsswitch="hosts: dns files\n"),
    "dns only": Setting(nsswitch="hosts: dns\n"),
    "files only": Setting(nsswitch="hosts: files\n"),
    "no nsswitch line": Setting(nsswitch="passwd: files\n"),
    "multicast": Setting(nsswitch="hosts: files mdns4_minimal [NOTFOUND=return] dns\n"),
    "usual criteria": Setting(nsswitch="hosts: files [NOTFOUND=continue] dns [NOTFOUND=return]\n"),
    "files decide": Setting(nsswitch="hosts: files [NOTFOUND=return] dns\n"),
    "files decide for libc": Setting(nsswitch="hosts: files [!SUCCESS=return] dns\n"),
    "dns decides": Setting(nsswitch="hosts: dns [NOTFOUND=return] files\n"),
    "resolved not running": Setting(nsswitch="hosts: resolve [!UNAVAIL=return] files dns\n"),
    "unknown source": Setting(nsswitch="hosts: files wins dns\n"),
    "unknown option": Setting(f"{BOTH}options frobnicate\n"),
    "search": Setting(f"{BOTH}search other.test lab.test\n"),
    "domain": Setting(f"{BOTH}domain lab.test\n"),
    "ndots": Setting(f"{BOTH}search lab.test\noptions ndots:4\n"),
    "over tcp": Setting(f"{BOTH}options use-vc\n"),
    "second server first": Setting(f"nameserver {SECOND}\nnameserver {FIRST}\n"),
    "nothing listens first": Setting(f"nameserver 127.0.0.9\nnameserver {FIRST}\n"),
    "fourth server": Setting(
        "nameserver 127.0.0.7\nnameserver 127.0.0.8\nnameserver 127.0.0.9\n" + f"nameserver {FIRST}\n"
    ),
    "empty": Setting("# nothing\n"),
    "no hosts file entry": Setting(hosts="127.0.0.1 localhost\n"),
}
NAMES = {
    "plain.lab.test": "plain.lab.test",
    "listed.lab.test": "listed.lab.test",
    "both.lab.test": "both.lab.test",
    "absent.lab.test": "absent.lab.test",
    "split.lab.test": "split.lab.test",
    "broken.lab.test": "broken.lab.test",
    "half.lab.test": "half.lab.test",
    "nodata.lab.test": "nodata.lab.test",
    "refused.lab.test": "refused.lab.test",
    "short": "short:443",
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as running:
        for name in ("plain", "both", "short", "half", "split"):
            running.dns.add(f"{name}.lab.test", FIRST)
        running.dns.fault("split.lab.test", "nxdomain", server=FIRST)
        running.dns.fault("half.lab.test", "servfail", server=FIRST)
        running.dns.fault("broken.lab.test", "servfail")
        running.dns.fault("nodata.lab.test", "nodata")
        running.dns.fault("refused.lab.test", "refused")
        yield running


@pytest.mark.parametrize("position", [0, -1])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_walk_resolves_as_containerd_does(lab: Lab, name: str, position: int) -> None:
    generation = generations(lab.components)[position]
    known = f"resolver-{generation}"
    node = lab.nodes[known] if known in lab.nodes else lab.node(known, containerd=generation)
    setting = SETTINGS[name]
    node.write("/etc/resolv.conf", setting.resolv_conf + QUICK)
    node.write("/etc/nsswitch.conf", setting.nsswitch)
    node.write("/etc/hosts", setting.hosts)
    node.containerd.restart()  # it looks at these files every five seconds only
    images = [f"{authority}/team/app:1" for authority in NAMES.values()]
    said = json.loads(node.run([sys.executable, HERE / "pulls.py", *images], seconds=300).stdout)
    ours = json.loads(node.run([sys.executable, HERE / "lookup.py", *NAMES], seconds=300).stdout)
    differences = []
    for host, authority in NAMES.items():
        theirs = said[f"{authority}/team/app:1"]
        taken, asked = TAKEN.search(theirs), ASKED.search(theirs)
        found = ours[host]
        same = taken[1] in found["addresses"] if taken else not found["addresses"]
        if same and asked and found["server"]:
            same = found["server"] in asked[1]
        if not same:
            differences.append(f"{host}: {found}\n  {theirs}")
    assert differences == [], "\n".join(differences)
