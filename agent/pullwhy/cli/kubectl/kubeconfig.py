"""What a kubeconfig says of one user at one cluster; read as `kubectl config view --raw -o json` shows it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from pullwhy.cli.main import CommandError
from pullwhy.secret import Secret
from pullwhy.text import printable

DEFAULT_NAMESPACE: Final = "default"


class ExecVariable(msgspec.Struct, frozen=True):
    """One variable of a plugin's environment."""

    name: str
    value: str = ""


class ExecPlugin(msgspec.Struct, frozen=True, rename="camel"):
    """A program that makes credentials (client-go 0.32: tools/clientcmd/api/types.go, ExecConfig)."""

    command: str
    api_version: str
    args: tuple[str, ...] | None = None
    env: tuple[ExecVariable, ...] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"


class _Extension(msgspec.Struct, frozen=True):
    name: str
    extension: Any = None


class Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    """An API server."""

    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    extensions: tuple[_Extension, ...] | None = None


class _Provider(msgspec.Struct, frozen=True):
    name: str = ""


class _User(msgspec.Struct, frozen=True, rename="kebab"):
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    exec: ExecPlugin | None = None
    auth_provider: _Provider | None = None
    client_certificate: str = ""
    client_certificate_data: str = ""
    username: str = ""


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: Cluster


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: _User


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: _Context


class _Config(msgspec.Struct, frozen=True, rename="kebab"):
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None
    contexts: tuple[_NamedContext, ...] | None = None
    current_context: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """How somebody signs in at the API server."""

    name: str
    token: Secret
    token_file: str
    exec: ExecPlugin | None
    auth_provider: str
    certificate: bool
    password: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """A context of the kubeconfig, with what the command line put in its place."""

    context: str
    namespace: str
    cluster: Cluster
    user: User


def choose(document: bytes, *, context: str = "", cluster: str = "", user: str = "") -> Chosen:
    """Return what a kubeconfig says of a context, by default its current one; raises CommandError.

    `cluster` and `user` override the context's, as kubectl's options do. What is absent is empty, as in kubectl.
    """
    try:
        config = msgspec.json.decode(document, type=_Config)
    except msgspec.DecodeError as error:
        raise CommandError(f"the kubeconfig, as `kubectl config view` shows it, cannot be read: {error}") from None
    contexts = {each.name: each.context for each in config.contexts or ()}
    name = context or config.current_context
    if name and name not in contexts:
        raise CommandError(
            f"context {printable(name, 200)!r} is not in the kubeconfig; `kubectl config get-contexts` lists all"
        )
    chosen = contexts.get(name, _Context())
    users = {each.name: each.user for each in config.users or ()}
    clusters = {each.name: each.cluster for each in config.clusters or ()}
    found = _user(user or chosen.user, users.get(user or chosen.user, _User()))
    return Chosen(
        name, chosen.namespace or DEFAULT_NAMESPACE, clusters.get(cluster or chosen.cluster, Cluster()), found
    )


def _user(name: str, user: _User) -> User:
    return User(
        name,
        Secret(user.token),
        user.token_file,
        user.exec,
        user.auth_provider.name if user.auth_provider else "",
        certificate=bool(user.client_certificate or user.client_certificate_data),
        password=bool(user.username),
    )


def folders(kubeconfig: str, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders of the files that kubectl reads: relative paths in them begin there."""
    listed = kubeconfig or environment.get("KUBECONFIG", "")
    files = [Path(each) for each in ([listed] if kubeconfig else listed.split(os.pathsep)) if each]
    return tuple(dict.fromkeys(each.parent.absolute() for each in files)) or (Path.home() / ".kube",)


def resolved(path: str, bases: Sequence[Path]) -> Path:
    """Return a path of the kubeconfig, absolute: of several folders the first where it is there."""
    found = [base / path for base in bases]
    return next((each for each in found if each.exists()), found[0])
