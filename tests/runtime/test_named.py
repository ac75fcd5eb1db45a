"""The registries that a runtime's own files name."""

import pytest
from runtime.conftest import Tree

from pullwhy.runtime.containerd.settings import ContainerdConfig, InlineTLS
from pullwhy.runtime.effective import RuntimeView
from pullwhy.runtime.named import MAX_NAMED, named_registries
from pullwhy.runtime.versions import Version

OLD = Version((1, 7, 0), known=True)


def test_directories_of_certs_d_name_registries_but_the_default_one(tree: Tree) -> None:
    root = "/etc/containerd/certs.d"
    names = (
        "docker.io",
        "r.example",
        "r.example_5000_",
        "r.example:5001",
        "_default",
        "no registry",
        "[fd12::1]:443",
        "plain",
    )
    fs = tree({f"{root}/{name}/hosts.toml": "" for name in names})
    config = ContainerdConfig(OLD, config_path=root)
    expected = ("[fd12::1]:443", "docker.io", "r.example", "r.example:5000", "r.example:5001")
    assert named_registries(RuntimeView(config=config, fs=fs)) == expected


def test_mirrors_and_tls_of_config_toml_name_registries_but_the_star(tree: Tree) -> None:
    config = ContainerdConfig(
        OLD, local_pull_because="x", mirrors={"*": ("https://m",), "r.example": ()}, tls={"t.example:5000": InlineTLS()}
    )
    assert named_registries(RuntimeView(config=config, fs=tree({}))) == ("r.example", "t.example:5000")


def test_registries_conf_and_certs_d_name_registries_of_cri_o(tree: Tree) -> None:
    tables = (
        '[[registry]]\nprefix = "p.example/team"\nlocation = "m.example"\n[[registry]]\nprefix = "*.wild.example"\n'
    )
    fs = tree({"/etc/containers/registries.conf": tables, "/etc/containers/certs.d/c.example:5000/ca.crt": ""})
    assert named_registries(RuntimeView("cri-o", fs=fs)) == ("c.example:5000", "p.example")


@pytest.mark.parametrize("text", ["[[registry]", "\x00", "[[registry]]\nprefix = 3\n"])
def test_registries_conf_that_cri_o_cannot_use_names_none(text: str, tree: Tree) -> None:
    fs = tree({"/etc/containers/registries.conf": text, "/etc/containers/certs.d/c.example:5000/ca.crt": ""})
    assert named_registries(RuntimeView("cri-o", fs=fs)) == ("c.example:5000",)


def test_daemon_json_names_insecure_registries_and_the_hub_that_has_mirrors(tree: Tree) -> None:
    settings = '{"registry-mirrors": ["https://m.example"], "insecure-registries": ["i.example:5000", "10.0.0.0/8"]}'
    view = RuntimeView("docker", fs=tree({"/etc/docker/daemon.json": settings}))
    assert named_registries(view) == ("docker.io", "i.example:5000")


def test_there_is_a_bound(tree: Tree) -> None:
    root = "/etc/containerd/certs.d"
    fs = tree({f"{root}/r{number}.example/hosts.toml": "" for number in range(MAX_NAMED + 10)})
    assert len(named_registries(RuntimeView(config=ContainerdConfig(OLD, config_path=root), fs=fs))) == MAX_NAMED
