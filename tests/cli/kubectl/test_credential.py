"""Tokens from kubeconfigs: which of several counts, and exec plugins as kubectl runs them."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cli.kubectl.standin import kubeconfig

from pullwhy.cli.kubectl.credential import Credential, of_user
from pullwhy.cli.kubectl.kubeconfig import choose, folders
from pullwhy.cli.main import CommandError

V1 = "client.authentication.k8s.io/v1"
V1BETA1 = "client.authentication.k8s.io/v1beta1"


def credential(
    user: dict[str, Any], base: Path, *, cluster: dict[str, Any] | None = None, terminal: bool = False
) -> Credential:
    config = kubeconfig(user)
    config["clusters"][0]["cluster"] |= cluster or {}
    chosen = choose(json.dumps(config).encode())
    return of_user(chosen, (base,), {"PATH": "/usr/bin:/bin", "HOME": "/home/jane"}, terminal=terminal)


def plugin(folder: Path, answer: str | dict[str, Any], code: int = 0) -> str:
    """Make a plugin that writes down how it was called, and answers."""
    path = folder / "plugin"
    text = answer if isinstance(answer, str) else json.dumps(answer)
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"seen = {{'args': sys.argv[1:], 'env': dict(os.environ), 'terminal': sys.stdin.isatty()}}\n"
        f"open({str(folder / 'seen')!r}, 'w').write(json.dumps(seen))\n"
        f"print({text!r})\n"
        f"sys.exit({code})\n"
    )
    path.chmod(0o755)
    return str(path)


def given(version: str = V1, **status: str) -> dict[str, Any]:
    return {"kind": "ExecCredential", "apiVersion": version, "status": status}


def seen(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "seen").read_text())
    return loaded


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_an_exec_plugin_runs_with_its_arguments_and_environment(tmp_path: Path, version: str) -> None:
    command = plugin(tmp_path, given(version, token="t0ken", expirationTimestamp="2026-01-01T00:00:00Z"))
    user = {
        "exec": {
            "apiVersion": version,
            "command": command,
            "args": ["get-token", "--cluster", "a b"],
            "env": [{"name": "AWS_PROFILE", "value": "prod"}],
        }
    }
    found = credential(user, tmp_path)
    assert (found.token.reveal(), found.source) == ("t0ken", "the exec plugin of user 'jane'")
    assert "t0ken" not in repr(found)
    was = seen(tmp_path)
    assert was["args"] == ["get-token", "--cluster", "a b"]
    assert (was["env"]["AWS_PROFILE"], was["env"]["HOME"]) == ("prod", "/home/jane")
    assert json.loads(was["env"]["KUBERNETES_EXEC_INFO"]) == {
        "kind": "ExecCredential",
        "apiVersion": version,
        "spec": {"interactive": False},
    }


def test_a_plugin_that_asks_for_it_is_told_of_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a1"}}
    cluster = {
        "certificate-authority": "ca.pem",
        "tls-server-name": "api",
        "extensions": [{"name": "other", "extension": 1}, extension],
    }
    user = {"exec": {"apiVersion": V1, "command": plugin(tmp_path, given(token="t")), "provideClusterInfo": True}}
    credential(user, tmp_path, cluster=cluster)
    assert json.loads(seen(tmp_path)["env"]["KUBERNETES_EXEC_INFO"])["spec"]["cluster"] == {
        "server": "https://10.0.0.1:6443",
        "tls-server-name": "api",
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
        "config": {"audience": "a1"},
    }


def test_relative_paths_begin_at_the_kubeconfig(tmp_path: Path) -> None:
    plugin(tmp_path, given(token="t0ken"))
    assert credential({"exec": {"apiVersion": V1, "command": "./plugin"}}, tmp_path).token.reveal() == "t0ken"
    (tmp_path / "tok").write_text("from-file\n")
    assert credential({"tokenFile": "tok"}, tmp_path).token.reveal() == "from-file"


def test_the_folders_are_those_of_kubectls_files() -> None:
    listed = {"KUBECONFIG": "/a/config::/b/config:/a/other"}
    assert folders("", listed) == (Path("/a"), Path("/b"))
    assert folders("/c/k", listed) == (Path("/c"),)
    assert folders("", {}) == (Path.home() / ".kube",)


def test_a_token_file_goes_before_a_token_and_both_before_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "tok").write_text("from-file")
    user: dict[str, Any] = {"token": "inline", "exec": {"apiVersion": V1, "command": "/absent"}}
    assert credential(user, tmp_path).token.reveal() == "inline"
    assert credential(user | {"tokenFile": "tok"}, tmp_path).token.reveal() == "from-file"


@pytest.mark.parametrize(
    ("mode", "terminal", "interactive"),
    [("Never", True, False), ("IfAvailable", True, True), ("IfAvailable", False, False), ("Always", True, True)],
)
def test_a_plugin_is_told_whether_somebody_can_answer(
    tmp_path: Path, mode: str, terminal: bool, interactive: bool
) -> None:
    user = {"exec": {"apiVersion": V1, "command": plugin(tmp_path, given(token="t")), "interactiveMode": mode}}
    credential(user, tmp_path, terminal=terminal)
    assert json.loads(seen(tmp_path)["env"]["KUBERNETES_EXEC_INFO"])["spec"] == {"interactive": interactive}


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (given(token="s3cret"), 3, "failed with exit code 3"),
        ("s3cret", 0, f"gave no ExecCredential of {V1}"),
        (given(V1BETA1, token="s3cret"), 0, f"gave no ExecCredential of {V1}"),
        ({"kind": "Secret", "apiVersion": V1, "status": {"token": "s3cret"}}, 0, "gave no ExecCredential"),
        ({"kind": "ExecCredential", "apiVersion": V1}, 0, "gave neither token nor certificate"),
        (given(), 0, "gave neither token nor certificate"),
        (given(token="s3cret and more"), 0, "holds no token"),
    ],
)
def test_a_plugin_that_fails_is_named_without_what_it_printed(
    tmp_path: Path, answer: str | dict[str, Any], code: int, told: str
) -> None:
    user = {"exec": {"apiVersion": V1, "command": plugin(tmp_path, answer, code)}}
    with pytest.raises(CommandError) as failed:
        credential(user, tmp_path)
    assert told in str(failed.value)
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"command": "gke-auth", "installHint": "install it with\nyour package manager"},
            "is not there: install it with\\nyour",
        ),
        ({"command": "/absent/plugin"}, "the exec plugin /absent/plugin of the kubeconfig is not there"),
        (
            {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1alpha1"},
            "speaks client.authentication.k8s.io/v1alpha1",
        ),
        ({"command": "sh", "interactiveMode": "Always"}, "must ask you something, and there is no terminal"),
        ({"command": "/etc/passwd"}, "is not there"),
    ],
)
def test_a_plugin_that_cannot_run_is_named_with_the_mend(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    with pytest.raises(CommandError) as failed:
        credential({"exec": {"apiVersion": V1} | settings}, tmp_path)
    assert told in str(failed.value)


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"client-certificate": "c.pem", "client-key": "k.pem"}, "signs in with a client certificate"),
        (
            {"auth-provider": {"name": "gcp", "config": {"access-token": "s3cret"}}},
            "the auth provider 'gcp', which kubectl left",
        ),
        ({"username": "jane", "password": "s3cret"}, "signs in with a password"),
        ({}, "user 'jane' has no credentials in the kubeconfig"),
    ],
)
def test_who_has_no_token_is_told_why(tmp_path: Path, user: dict[str, Any], told: str) -> None:
    found = credential(user, tmp_path)
    assert not found.token
    assert told in found.source
    assert "s3cret" not in found.source


def test_a_plugin_that_gives_a_certificate_gives_no_token(tmp_path: Path) -> None:
    answer = given(clientCertificateData="PEM", clientKeyData="s3cret")
    found = credential({"exec": {"apiVersion": V1, "command": plugin(tmp_path, answer)}}, tmp_path)
    assert (bool(found.token), found.source) == (
        False,
        "the exec plugin of user 'jane' gives a client certificate and no token",
    )


def test_options_put_others_in_the_contexts_place() -> None:
    config = kubeconfig({"token": "a"})
    config["users"].append({"name": "joe", "user": {"token": "b"}})
    config["clusters"].append({"name": "dev", "cluster": {"server": "https://dev"}})
    chosen = choose(json.dumps(config).encode(), user="joe", cluster="dev", context="bare")
    assert (chosen.user.token.reveal(), chosen.cluster.server, chosen.namespace) == ("b", "https://dev", "default")


def test_an_empty_kubeconfig_is_no_error() -> None:
    nothing = {"clusters": None, "users": None, "contexts": None, "current-context": ""}
    chosen = choose(json.dumps(nothing).encode())
    assert (chosen.context, chosen.namespace, chosen.user.name) == ("", "default", "")


@pytest.mark.parametrize("document", [b"", b"[]", b'{"users": [{"name": "a", "user": {"token": 5}}]}'])
def test_what_is_no_kubeconfig_is_one_clear_error(document: bytes) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        choose(document)
