"""Which exec credential provider serves an image, and whether the kubelet can run it."""

import errno
import json
from collections.abc import Callable, Mapping

import pytest

from pullwhy.access import Provider, Providers
from pullwhy.image import parse
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.kubelet.providers import MAX_PROVIDERS, providers
from pullwhy.runtime.kubelet.settings import Kubelet

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]
CONFIG, BIN = "/etc/providers/config.json", "/opt/providers"
KUBELET = Kubelet(seen=True, provider_config=CONFIG, provider_directory=BIN)
ECR = parse("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:1")


def config(*entries: tuple[str, list[str]]) -> str:
    listed = [{"name": name, "matchImages": globs, "defaultCacheDuration": "12h"} for name, globs in entries]
    return json.dumps(
        {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig", "providers": listed}
    )


OWN = ("ecr-credential-provider", ["*.dkr.ecr.*.amazonaws.com"])
OTHER = ("acr-credential-provider", ["*.azurecr.io", "*.azurecr.cn"])
YAML = """\
kind: CredentialProviderConfig
apiVersion: kubelet.config.k8s.io/v1
providers:
- name: ecr-credential-provider
  matchImages:
  - "*.dkr.ecr.*.amazonaws.com"   # the region is a label
"""


def look(tree: Tree, files: Mapping[str, str | bytes | None], mode: int = 0o755) -> Providers:
    fs = tree(files)
    binary = fs.root / f"{BIN}/ecr-credential-provider".lstrip("/")
    if binary.exists():
        binary.chmod(mode)
    return providers(ECR, KUBELET, fs)


BINARY = {f"{BIN}/ecr-credential-provider": "#!"}


@pytest.mark.parametrize("text", [config(OTHER, OWN), YAML])
def test_the_provider_that_covers_the_image_serves_it(tree: Tree, text: str) -> None:
    found = look(tree, {CONFIG: text, **BINARY})
    assert found.serving == (Provider("ecr-credential-provider"),)
    assert (found.config, found.fault, found.known) == (CONFIG, "", True)


def test_the_globs_of_those_that_do_not_are_told(tree: Tree) -> None:
    found = look(tree, {CONFIG: config(OTHER)})
    assert (found.serving, found.patterns) == ((), ("*.azurecr.io", "*.azurecr.cn"))


@pytest.mark.parametrize(
    ("files", "mode", "fault"),
    [
        ({}, 0o755, "no such file"),
        (BINARY, 0o644, "not executable"),
        ({f"{BIN}/ecr-credential-provider": None}, 0o755, "no regular file"),
    ],
)
def test_a_binary_that_cannot_be_run_is_told(
    tree: Tree, files: Mapping[str, str | bytes | None], mode: int, fault: str
) -> None:
    (provider,) = look(tree, {CONFIG: config(OWN), **files}, mode).serving
    assert provider.fault == f"{BIN}/ecr-credential-provider: {fault}"


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({}, "no such file"),
        ({CONFIG: "{"}, f"{CONFIG} is no JSON"),
        ({CONFIG: "a: [1\n"}, f"{CONFIG} is no YAML"),
        ({CONFIG: "a" * 70_000}, "more than 65536 characters"),
        ({CONFIG: "- " * 20_000}, f"{CONFIG} is no YAML"),
        ({CONFIG: "{}"}, "no CredentialProviderConfig"),
        ({CONFIG: config(OWN).replace("ecr-credential-provider", "")}, "no list of providers, each with a name"),
        ({CONFIG: config(*[OTHER] * (MAX_PROVIDERS + 1))}, f"more than {MAX_PROVIDERS} providers"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told(tree: Tree, files: Mapping[str, str], fault: str) -> None:
    assert fault in look(tree, files).fault


class Denied(HostFS):
    """Files that only the kubelet may read."""

    def text(self, path: str, limit: int = 0) -> str:
        del limit
        raise UnreadableFile(path, errno.EACCES)


def test_what_only_the_kubelet_may_read_is_not_called_a_fault(tree: Tree) -> None:
    fs = Denied(tree({CONFIG: config(OWN)}).root)
    assert providers(ECR, KUBELET, fs) == Providers(CONFIG, unseen="permission denied", known=True)


def test_a_directory_of_configurations_is_read_in_order(tree: Tree) -> None:
    files = {f"{CONFIG}/20.yaml": YAML, f"{CONFIG}/10.json": config(OTHER), f"{CONFIG}/notes.txt": "{", **BINARY}
    found = look(tree, files)
    assert (found.serving, found.patterns[0]) == ((Provider("ecr-credential-provider"),), "*.azurecr.io")


def test_without_the_flag_there_is_none(tree: Tree) -> None:
    assert providers(ECR, Kubelet(seen=True), tree({CONFIG: YAML})) == Providers(known=True)
