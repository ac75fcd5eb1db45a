"""What the walk's child needs is loaded before it is confined: as nobody it may not read where pullwhy lies, such as root's home."""

import ssl
import subprocess
import sys
from pathlib import Path

import trustme

LATE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import pullwhy.node.walk.child
from pullwhy.plan import GoBuild
from pullwhy.probe.gochain import Roots, refusal
from pullwhy.probe.x509 import read_chain

before = set(sys.modules)
for folder in map(Path, sys.argv[1:]):
    leaf, root = (folder / "leaf").read_bytes(), (folder / "root").read_bytes()
    assert refusal([leaf], "reg.lab.test", Roots.of([root]), datetime.now(UTC), GoBuild()) is None
    assert refusal([leaf], "reg.lab.test", Roots.of([]), datetime.now(UTC), GoBuild()) is not None
    assert read_chain([leaf, root])[1].facts.subject
print(*sorted(set(sys.modules) - before))
"""


def test_nothing_is_loaded_when_a_chain_is_read_and_verified(tmp_path: Path) -> None:
    folders = []
    for kind in trustme.KeyType:
        authority, folder = trustme.CA(key_type=kind), tmp_path / kind.name
        folder.mkdir()
        served = authority.issue_cert("reg.lab.test", key_type=kind)
        for name, pem in (("leaf", served.cert_chain_pems[0]), ("root", authority.cert_pem)):
            (folder / name).write_bytes(ssl.PEM_cert_to_DER_cert(pem.bytes().decode()))
        folders.append(str(folder))
    done = subprocess.run([sys.executable, "-c", LATE, *folders], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
