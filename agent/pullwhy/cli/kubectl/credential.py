"""The bearer token that shows the collector who asks: from the kubeconfig, from its exec plugin, or of a service account."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from pullwhy.cli.client import checked_token, token_in
from pullwhy.cli.kubectl.kubeconfig import Chosen, Cluster, ExecPlugin, resolved
from pullwhy.cli.main import CommandError
from pullwhy.secret import Secret
from pullwhy.text import printable

PLUGIN_SECONDS: Final = 300.0
"""A person may have to sign in meanwhile."""
VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_CLUSTER_CONFIG: Final = "client.authentication.k8s.io/exec"
"""The extension of a cluster that its plugins get (client-go 0.32: tools/clientcmd/client_config.go)."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, or why there is none."""

    token: Secret
    source: str
    """Where it is from, or why there is none."""


class _Status(msgspec.Struct):
    token: str = ""
    certificate: str = msgspec.field(default="", name="clientCertificateData")


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Status | None = None


def of_user(chosen: Chosen, bases: Sequence[Path], environment: Mapping[str, str], *, terminal: bool) -> Credential:
    """Return the token with which a user signs in; raises CommandError where it should be there and is not.

    A token goes before a plugin, the file of one before one in the kubeconfig (client-go 0.32: tools/clientcmd/api/types.go,
    AuthInfo; plugin/pkg/client/auth/exec/exec.go, roundTripper). `terminal`: somebody can answer a plugin's questions.
    """
    user = chosen.user
    name = printable(user.name, 200)
    if user.token_file:
        return Credential(token_in(resolved(user.token_file, bases)), f"the token file of user {name!r}")
    if user.token:
        return Credential(checked_token(user.token.reveal(), f"user {name!r}"), f"the token of user {name!r}")
    if user.exec:
        token = _made(user.exec, chosen.cluster, bases, environment, terminal=terminal)
        if token:
            return Credential(token, f"the exec plugin of user {name!r}")
    return Credential(Secret(""), _why_none(chosen))


def _why_none(chosen: Chosen) -> str:
    user, name = chosen.user, printable(chosen.user.name, 200)
    if user.exec:
        return f"the exec plugin of user {name!r} gives a client certificate and no token"
    if user.auth_provider:
        return (
            f"user {name!r} signs in with the auth provider {printable(user.auth_provider, 100)!r}, which kubectl left behind in "
            "1.26: set up its exec plugin in the kubeconfig"
        )
    if user.certificate:
        return f"user {name!r} signs in with a client certificate, which ends at the API server, and has no token"
    if user.password:
        return f"user {name!r} signs in with a password, and has no token"
    return f"user {name!r} has no credentials in the kubeconfig" if name else "the kubeconfig names no user"


def _made(
    plugin: ExecPlugin, cluster: Cluster, bases: Sequence[Path], environment: Mapping[str, str], *, terminal: bool
) -> Secret:
    """Return what a plugin gives, empty where that is a certificate; raises CommandError."""
    shown = printable(plugin.command, 300)
    if plugin.api_version not in VERSIONS:
        raise CommandError(
            f"the exec plugin {shown} speaks {printable(plugin.api_version, 100)}; known: {', '.join(VERSIONS)}"
        )
    if plugin.interactive_mode == "Always" and not terminal:
        raise CommandError(f"the exec plugin {shown} must ask you something, and there is no terminal")
    interactive = terminal and plugin.interactive_mode != "Never"
    command = str(resolved(plugin.command, bases)) if os.sep in plugin.command else plugin.command
    variables = {each.name: each.value for each in plugin.env or ()}
    variables["KUBERNETES_EXEC_INFO"] = json.dumps(_info(plugin, cluster, bases, interactive=interactive))
    if not shutil.which(command, path=environment.get("PATH")):
        hint = f": {printable(plugin.install_hint)}" if plugin.install_hint else ""
        raise CommandError(f"the exec plugin {shown} of the kubeconfig is not there{hint}")
    try:
        # Its standard error is the user's, as with kubectl: "to sign in, open ...".
        done = subprocess.run(
            [command, *(plugin.args or ())],
            env={**environment, **variables},
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=PLUGIN_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = error.strerror if isinstance(error, OSError) else f"no answer in {PLUGIN_SECONDS:.0f} s"
        raise CommandError(f"the exec plugin {shown} failed: {told}") from None
    if done.returncode:
        raise CommandError(f"the exec plugin {shown} failed with exit code {done.returncode}")
    return _answered(done.stdout, plugin, shown)


def _answered(answer: bytes, plugin: ExecPlugin, shown: str) -> Secret:
    try:
        given = msgspec.json.decode(answer, type=_ExecCredential)
    except msgspec.DecodeError:
        given = _ExecCredential("", "")
    if given.kind != "ExecCredential" or given.api_version != plugin.api_version:
        raise CommandError(f"the exec plugin {shown} gave no ExecCredential of {plugin.api_version}")
    status = given.status
    if not status or not (status.token or status.certificate):
        raise CommandError(f"the exec plugin {shown} gave neither token nor certificate")
    return checked_token(status.token, f"the answer of the exec plugin {shown}") if status.token else Secret("")


def _info(plugin: ExecPlugin, cluster: Cluster, bases: Sequence[Path], *, interactive: bool) -> dict[str, Any]:
    """Return what a plugin is told (client-go 0.32: pkg/apis/clientauthentication/v1/types.go, ExecCredentialSpec)."""
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.provide_cluster_info:
        told = {
            "server": cluster.server,
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
            "certificate-authority-data": _authority(cluster, bases),
            "proxy-url": cluster.proxy_url,
            "disable-compression": cluster.disable_compression,
            "config": next((each.extension for each in cluster.extensions or () if each.name == _CLUSTER_CONFIG), None),
        }
        spec["cluster"] = {name: value for name, value in told.items() if value}
    return {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}


def _authority(cluster: Cluster, bases: Sequence[Path]) -> str:
    if cluster.certificate_authority_data or not cluster.certificate_authority:
        return cluster.certificate_authority_data
    path = resolved(cluster.certificate_authority, bases)
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise CommandError(f"the cluster's CA {printable(str(path))} cannot be read: {error.strerror}") from None
