"""`make-certificates`: the Secrets that it hands to kubectl, and what it leaves when something fails."""

import os
import ssl
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest
import yaml

from image import manifests

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]  # asks a fetched kubectl

COMMAND = manifests.FOLDER / "components/own-certificates/make-certificates"


def run(folder: Path, *words: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Run it with programs of our own before the system's, and its temporary folder in *folder*."""
    own, temporary = folder / "bin", folder / "temporary"
    for made in (own, temporary):
        made.mkdir()
    for name, script in programs.items():
        (own / name).write_text(f"#!/bin/sh\n{script}\n")
        (own / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{own}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
    done = subprocess.run(
        [COMMAND, *words], env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert list(temporary.iterdir()) == [], "keys stay nowhere"
    return done


def test_the_secrets_are_those_that_the_manifests_use(tmp_path: Path) -> None:
    applied = tmp_path / "applied"
    # `apply` wants a cluster; what it would be given is kept.
    kubectl = (
        f'case "$*" in *create*) exec {manifests.kubectl()} "$@";; *) echo --- >>{applied}; cat >>{applied};; esac'
    )
    done = run(tmp_path, kubectl=kubectl)
    assert (done.returncode, done.stderr) == (0, "")
    secrets = [each for each in yaml.safe_load_all(applied.read_text()) if each]
    documents = manifests.render("overlays/own-certificates")
    used = {
        volume["secret"]["secretName"]
        for kind, name in (("DaemonSet", "pullwhy-agent"), ("Deployment", "pullwhy-collector"))
        for volume in manifests.pod_of(documents, kind, name)["volumes"]
        if "secret" in volume
    }
    assert {each["metadata"]["name"] for each in secrets} == used
    for secret in secrets:
        assert secret["metadata"]["namespace"] == "pullwhy"
        for key, value in secret["data"].items():
            (tmp_path / key).write_bytes(b64decode(value))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
        context.load_verify_locations(tmp_path / "ca.crt")


def test_what_fails_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, openssl="echo no entropy >&2; exit 3")
    assert (done.returncode, done.stderr) == (1, "make-certificates: openssl failed:\nno entropy\n")


def test_help_is_the_usage_and_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "--help", openssl="exit 9", kubectl="exit 9")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nUsage: make-certificates [FOLDER [NODE…]]\n" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(("#", "set "))]
    assert {each.name for each in tmp_path.iterdir()} == {"bin", "temporary"}


@pytest.mark.parametrize(
    "words", [("--nodes",), ("-x", "node-a"), ("pki", "-a"), ("pki", "--help"), ("",)], ids=" ".join
)
def test_what_is_no_folder_and_no_node_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, *words, openssl="exit 9", kubectl="exit 9")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.endswith("see make-certificates --help\n")
    assert {each.name for each in tmp_path.iterdir()} == {"bin", "temporary"}
