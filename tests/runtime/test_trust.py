import base64
import os
from collections.abc import Callable, Mapping

import pytest

from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.host.trust import FILES, read_trust

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]


def certificate(name: str) -> str:
    body = base64.b64encode(b"\x30" + bytes([len(name)]) + name.encode()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


A, B, C = map(certificate, "abc")
DEBIAN, FEDORA, SUSE = FILES[:3]


@pytest.mark.parametrize(
    ("files", "file", "directory", "expected"),
    [
        ({}, "", "", ""),
        ({DEBIAN: A + B, SUSE: C}, "", "", A + B),
        ({FEDORA: C}, "", "", C),
        ({DEBIAN: A, "/etc/ssl/certs/x.pem": B, "/etc/pki/tls/certs/y": C}, "", "", A + B + C),
        ({DEBIAN: A + B, "/etc/ssl/certs/a.pem": A}, "", "", A + B),
        ({DEBIAN: A, "/other.pem": B}, "/other.pem", "", B + A),
        ({DEBIAN: A, "/other.pem": B}, "/other.pem", "/none", B),
        ({DEBIAN: A, "/d/x": B, "/e/y": C}, "", "/d:/e", A + B + C),
        ({DEBIAN: A}, "/none.pem", "/none", ""),
        ({DEBIAN: "junk", SUSE: B, FEDORA: C}, "", "", C),
        ({DEBIAN: "-> /store/bundle", "/store/bundle": A}, "", "", A),
        ({"/etc/ssl/certs/0a.0": "-> x.pem", "/etc/ssl/certs/x.pem": B}, "", "", B),
    ],
    ids=[
        "nothing",
        "first bundle alone",
        "second bundle",
        "directories add",
        "each certificate once",
        "file override keeps directories",
        "both overrides",
        "directory override keeps the bundle",
        "overrides that are absent",
        "an empty first bundle still ends the search, directories are read",
        "linked bundle",
        "hash links",
    ],
)
def test_the_store_is_loaded_as_go_loads_it(
    tree: Tree, files: dict[str, str], file: str, directory: str, expected: str
) -> None:
    assert read_trust(tree(files), file, directory).pem == expected


def test_the_youngest_file_is_known(tree: Tree) -> None:
    fs = tree({DEBIAN: A, "/etc/ssl/certs/x.pem": B})
    os.utime(fs.root / DEBIAN.lstrip("/"), (100, 100))
    os.utime(fs.root / "etc/ssl/certs/x.pem", (200, 200))
    store = read_trust(fs)
    assert (store.files, store.newest) == ((DEBIAN, "/etc/ssl/certs/x.pem"), 200)
