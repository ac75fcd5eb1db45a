"""Where the packages come from."""

from pathlib import Path

import pytest

from lab.debian import mirror, security_mirror
from lab.errors import LabError

DEB822 = """\
Types: deb
URIs: http://security.example.test/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.test/debian http://second.example.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
FOREIGN = (
    "Types: deb\nURIs: https://node.example.test\nSuites: stable\nComponents: main\nSigned-By: /usr/share/node.gpg\n"
)


def test_the_machines_own_mirror_is_taken_and_no_foreign_or_security_one(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "a.sources").write_text(FOREIGN)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert mirror(tmp_path) == "http://mirror.example.test/debian"
    assert security_mirror(tmp_path) == "http://security.example.test/debian-security"


def test_the_old_form_of_sources_is_read_too(tmp_path: Path) -> None:
    line = "deb [arch=amd64] http://mirror.example.test/debian bookworm main contrib\n"
    (tmp_path / "sources.list").write_text(f"# deb http://commented.example.test x main\n{line}")
    assert mirror(tmp_path) == "http://mirror.example.test/debian"


def test_without_a_mirror_the_mend_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="add a source with the component main"):
        mirror(tmp_path)
    with pytest.raises(LabError, match="add a source with a suite such as bookworm-security"):
        security_mirror(tmp_path)
