"""Expectations were taken from `containerd config dump` of 1.6.20, 1.7.24 and 2.1.9."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pullwhy.runtime.containerd.settings import TWO_ROOTS, ContainerdConfig, holds_credentials, read_config, with_status
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.versions import Version, parse_version
from pullwhy.trace import ConfigFault

Tree = Callable[[Mapping[str, str | bytes | None]], HostFS]

V16, V17, V20, V21, V22 = map(parse_version, ("1.6.20", "1.7.24", "2.0.5", "2.1.9", "2.2.1"))
FILE = "/etc/containerd/config.toml"
CRI = 'plugins."io.containerd.grpc.v1.cri"'
IMAGES = 'plugins."io.containerd.cri.v1.images"'


def read(tree: Tree, text: str, version: Version, **more: str) -> ContainerdConfig:
    return read_config(FILE, version, tree({FILE: text, **{f"/etc/containerd/{name}": t for name, t in more.items()}}))


OLD_REGISTRY = f'version = 2\n[{CRI}.registry]\nconfig_path = "/old"\n'
NEW_REGISTRY = f'version = 3\n[{IMAGES}.registry]\nconfig_path = "/new"\n'


@pytest.mark.parametrize(
    ("text", "v16", "v17", "v21"),
    [
        (OLD_REGISTRY, "/old", "/old", "/old"),
        (NEW_REGISTRY, "", "", "/new"),
        (NEW_REGISTRY.replace("3", "2", 1), "", "", "/new"),
        (OLD_REGISTRY + f'[{IMAGES}.registry]\nconfig_path = "/new"\n', "/old", "/old", "/old"),
        (OLD_REGISTRY.replace("2", "3", 1), "/old", "", ""),
        ('[plugins.cri.registry]\nconfig_path = "/one"\n', "/one", "/one", ""),
        ('version = 1\n[plugins.cri.registry]\nconfig_path = "/one"\n', "/one", "/one", ""),
        (OLD_REGISTRY.replace("registry", "Registry"), "", "", ""),
    ],
)
def test_config_path_is_read_where_the_version_reads_it(tree: Tree, text: str, v16: str, v17: str, v21: str) -> None:
    for version, expected in ((V16, v16), (V17, v17), (V21, v21)):
        assert read(tree, text, version).config_path == expected


@pytest.mark.parametrize(
    ("version", "config_path", "sandbox", "local"),
    [
        (V16, "", "registry.k8s.io/pause:3.6", True),
        (V17, "", "registry.k8s.io/pause:3.8", True),
        (V20, "", "registry.k8s.io/pause:3.10", True),
        (V21, "", "registry.k8s.io/pause:3.10", False),
        (V22, TWO_ROOTS, "registry.k8s.io/pause:3.10.1", False),
    ],
)
def test_defaults_rule_where_there_is_no_file(
    tree: Tree, version: Version, config_path: str, sandbox: str, local: bool
) -> None:
    config = read_config("", version, tree({}))
    assert (config.file, config.config_path, config.sandbox_image) == ("", config_path, sandbox)
    assert (config.root, config.state, config.snapshotter) == ("/var/lib/containerd", "/run/containerd", "overlayfs")
    assert config.transfer_service is not local
    assert config.problems == ()


def test_a_config_path_names_its_file_and_line(tree: Tree) -> None:
    place = read(tree, OLD_REGISTRY, V21).config_path_place
    assert place is not None
    assert (place.file, place.line) == (FILE, 3)


IMPORTING = f"""\
version = 2
imports = ["conf.d/*.toml", "/etc/containerd/conf.d/*.toml", "plain.toml"]
[{CRI}]
sandbox_image = "own/pause:1"
[{CRI}.registry.mirrors."y.example"]
endpoint = ["https://m1.example"]
"""
IMPORTED = f'version = 2\n[{CRI}.registry.mirrors."x.example"]\nendpoint = ["https://m2.example"]\n'


@pytest.mark.parametrize(
    ("version", "sandbox", "mirrors"),
    [
        (V17, "registry.k8s.io/pause:3.8", {"x.example": ("https://m2.example",)}),
        (V21, "own/pause:1", {"x.example": ("https://m2.example",), "y.example": ("https://m1.example",)}),
    ],
)
def test_imports_replace_sections_before_2_1_and_merge_from_then_on(
    tree: Tree, version: Version, sandbox: str, mirrors: dict[str, tuple[str, ...]]
) -> None:
    config = read(tree, IMPORTING, version, **{"conf.d/a.toml": IMPORTED, "plain.toml": 'version = 2\nroot = "/r"\n'})
    assert (config.sandbox_image, config.mirrors, config.root) == (sandbox, mirrors, "/r")
    assert config.files == (FILE, "/etc/containerd/conf.d/a.toml", "/etc/containerd/plain.toml")


@pytest.mark.parametrize(
    ("main", "imported", "v17", "v21"),
    [
        ("version = 2", "", "/x", "/x"),  # a drop-in that names no version
        ("version = 2", "version = 3", None, ""),
        ("version = 3", "version = 2", "/x", "/x"),
        ("version = 3", "", None, ""),
    ],
)
def test_the_version_named_last_counts_for_all_files(
    tree: Tree, main: str, imported: str, v17: str | None, v21: str
) -> None:
    text = f'{main}\nimports = ["a.toml"]\n'
    drop_in = f'{imported}\n[{CRI}.registry]\nconfig_path = "/x"\n'
    for version, expected in ((V17, v17), (V21, v21)):
        config = read(tree, text, version, **{"a.toml": drop_in})
        if expected is None:
            assert any("would not start" in problem.detail for problem in config.problems)
        else:
            assert config.config_path == expected


def test_sections_of_both_names_are_migrated_after_they_are_merged(tree: Tree) -> None:
    text = f'version = 2\nimports = ["a.toml"]\n[{IMAGES}.registry]\nconfig_path = "/new"\n'
    drop_in = f'version = 2\n[{CRI}.registry.mirrors."x.example"]\nendpoint = []\n'
    config = read(tree, text, V21, **{"a.toml": drop_in})
    assert (config.config_path, config.mirrors) == ("", {"x.example": ()})


@pytest.mark.parametrize(
    ("text", "version", "line", "why"),
    [
        (NEW_REGISTRY, V17, 1, "up to version 2"),
        (NEW_REGISTRY.replace("3", "4", 1), V21, 1, "up to version 3"),
        ('version = 2\n[plugins.cri.registry]\nconfig_path = "/x"\n', V16, 2, "full names"),
        (f'version = 2\n[{CRI}.registry.mirrors."[::1]:5000"]\nendpoint = []\n', V17, 2, "bracket"),
    ],
)
def test_what_keeps_containerd_from_starting_names_line_and_mend(
    tree: Tree, text: str, version: Version, line: int, why: str
) -> None:
    (problem,) = read(tree, text, version).problems
    assert problem.config is not None
    assert (problem.config.fault, problem.config.line) == (ConfigFault.INVALID, line)
    assert why in problem.config.why
    assert problem.config.mend


def test_imports_in_a_circle_end(tree: Tree) -> None:
    text = 'version = 2\nimports = ["a.toml"]\n'
    assert read(tree, text, V21, **{"a.toml": text}).files == (FILE, "/etc/containerd/a.toml")


def test_a_missing_import_stops_1_7_and_is_passed_over_by_2_1(tree: Tree) -> None:
    text = OLD_REGISTRY.replace("\n", '\nimports = ["none.toml"]\n', 1)
    (problem,) = read(tree, text, V17).problems
    assert "would not start" in problem.detail
    assert read(tree, text, V21).problems == ()
    assert read(tree, text, V21).config_path == "/old"


@pytest.mark.parametrize(
    ("extra", "because"),
    [
        ("", ""),
        ("use_local_image_pull = true", "use_local_image_pull = true"),
        ("use_local_image_pull = false", ""),
        ("discard_unpacked_layers = true", "discard_unpacked_layers = true"),
        ("image_pull_with_sync_fs = true", "image_pull_with_sync_fs = true"),
        ("disable_snapshot_annotations = false", "disable_snapshot_annotations = false"),
        ("disable_snapshot_annotations = true", ""),
        ("max_concurrent_downloads = 3", ""),
        ("max_concurrent_downloads = 5", "max_concurrent_downloads = 5"),
        ("registry.mirrors.x.endpoint = []", "registry.mirrors is set"),
        ('registry.configs.x.auth.username = "u"', "registry.configs is set"),
        ('registry.auths."https://x".username = "u"', "registry.auths is set"),
        ("registry.headers.X-A = []", ""),
    ],
)
def test_some_settings_keep_the_transfer_service_from_pulling(tree: Tree, extra: str, because: str) -> None:
    text = f"version = 3\n[{IMAGES}]\n{extra}\n"
    assert read(tree, text, V21).local_pull_because == because
    assert read(tree, text, V20).local_pull_because


def test_migration_to_2_x_overlooks_containerd_settings_without_runtimes(tree: Tree) -> None:
    text = f'version = 2\n[{CRI}.containerd]\nsnapshotter = "native"\ndiscard_unpacked_layers = true\n'
    with_runtime = text + f'[{CRI}.containerd.runtimes.runc]\nruntime_type = "x"\n'
    assert read(tree, text, V17).snapshotter == "native"
    assert read(tree, text, V21).snapshotter == "overlayfs"
    assert read(tree, text, V21).transfer_service
    assert read(tree, with_runtime, V21).snapshotter == "native"
    assert not read(tree, with_runtime, V21).transfer_service


@pytest.mark.parametrize(
    ("config_path", "extra", "roots"),
    [("/a", "", ("/a",)), ("/a:/b", "", ("/a:/b",)), ("/a:/b", "use_local_image_pull = true", ("/a", "/b"))],
)
def test_several_roots_are_one_name_to_the_transfer_service(
    tree: Tree, config_path: str, extra: str, roots: tuple[str, ...]
) -> None:
    text = f'version = 3\n[{IMAGES}]\n{extra}\n[{IMAGES}.registry]\nconfig_path = "{config_path}"\n'
    assert read(tree, text, V21).roots == roots


@pytest.mark.parametrize(
    ("text", "version", "line"),
    [
        (OLD_REGISTRY.replace("2", "3", 1), V21, 2),
        ('[plugins.cri.registry]\nconfig_path = "/one"\n', V21, 1),
        (NEW_REGISTRY, V16, 2),
        (NEW_REGISTRY.replace("3", "2", 1), V17, 2),
    ],
)
def test_registry_settings_that_the_version_overlooks_are_said(
    tree: Tree, text: str, version: Version, line: int
) -> None:
    (problem,) = read(tree, text, version).problems
    assert problem.config is not None
    assert (problem.config.fault, problem.config.file, problem.config.line) == (ConfigFault.IGNORED, FILE, line)
    assert not problem.config.decides


def test_mirrors_beside_config_path_are_a_fault(tree: Tree) -> None:
    text = OLD_REGISTRY + f'[{CRI}.registry.mirrors."x"]\nendpoint = []\n'
    (problem,) = read(tree, text, V17).problems
    assert problem.config is not None
    assert (problem.config.fault, problem.config.line) == (ConfigFault.INVALID, 3)


@pytest.mark.parametrize(("version", "fault"), [(V16, True), (V17, True), (V21, False)])
def test_certificates_beside_config_path_are_a_fault_of_1_x(tree: Tree, version: Version, fault: bool) -> None:
    text = OLD_REGISTRY + f'[{CRI}.registry.configs."x".tls]\nca_file = "/ca.crt"\n'
    said = [problem.config for problem in read(tree, text, version).problems]
    assert [("CRI plugin does not start" in facts.why, facts.line) for facts in said if facts] == [(True, 3)] * fault


def test_a_broken_file_names_line_and_mend_and_leaves_the_defaults(tree: Tree) -> None:
    config = read(tree, "version = 2\n[plugins\n", V17)
    (problem,) = config.problems
    assert problem.config is not None
    assert (problem.config.file, problem.config.line, problem.config.decides) == (FILE, 2, False)
    assert config.sandbox_image == "registry.k8s.io/pause:3.8"


def test_a_file_named_and_absent_is_said(tree: Tree) -> None:
    (problem,) = read_config("/etc/other.toml", V17, tree({}), given=True).problems
    assert "/etc/other.toml" in problem.target
    assert "no such file" in problem.detail


SECRETS = f"""\
version = 2
[{CRI}.registry.configs."x.example".auth]
username = "canary-user"
password = "canary-password"
[{CRI}.registry.configs."x.example".tls]
ca_file = "/ca"
insecure_skip_verify = true
[{CRI}.registry.auths."https://y.example/v1/"]
auth = "canary-auth"
[{CRI}.registry.headers]
X-Token = ["canary-header"]
[{CRI}.registry.mirrors."z.example"]
endpoint = ["https://canary:canary@m.example/v2"]
"""


def test_credentials_are_noted_and_never_kept(tree: Tree) -> None:
    config = read(tree, SECRETS, V17)
    assert config.credentials_for == ("x.example", "y.example")
    assert config.tls["x.example"].skip_verify
    assert config.mirrors == {"z.example": ("https://m.example/v2",)}
    assert [(name, value.reveal()) for name, value in config.headers] == [("X-Token", "canary-header")]
    assert "canary" not in repr(config)
    assert read(tree, SECRETS, V21).tls == {}


@pytest.mark.parametrize(
    ("host", "port", "held"),
    [("x.example", 443, True), ("y.example", 443, True), ("x.example", 5000, True), ("other.example", 443, False)],
)
def test_endpoints_with_the_runtimes_own_credentials_are_known(tree: Tree, host: str, port: int, held: bool) -> None:
    assert holds_credentials(read(tree, SECRETS, V17), host, port) is held


def test_what_containerd_says_itself_wins_over_the_file(tree: Tree) -> None:
    config = read(tree, OLD_REGISTRY, V17)
    assert with_status(config, {}) == config
    same = {"registry": {"configPath": "/old", "mirrors": None}, "sandboxImage": "x/pause:2", "containerdRootDir": "/r"}
    agreed = with_status(config, same)
    assert (agreed.sandbox_image, agreed.root, agreed.problems) == ("x/pause:2", "/r", ())
    other = {"registry": {"configPath": "", "mirrors": {"x.example": {"endpoint": ["https://m.example"]}}}}
    changed = with_status(config, other)
    assert (changed.config_path, changed.mirrors) == ("", {"x.example": ("https://m.example",)})
    (problem,) = changed.problems
    assert "changed since" in problem.detail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=80),
        st.lists(
            st.sampled_from(
                [
                    "version = 2",
                    "version = 3",
                    'version = "x"',
                    'imports = ["*", 3, "../x"]',
                    "imports = 3",
                    "plugins = 3",
                    f"[{CRI}]",
                    f"[{IMAGES}]",
                    "registry = 3",
                    "registry.mirrors = []",
                    "registry.mirrors.x = 3",
                    "registry.configs.x.tls = 3",
                    'registry.headers.A = "x"',
                    "pinned_images = 3",
                    "containerd = []",
                ]
            ),
            max_size=6,
        ).map(lambda lines: "\n".join(lines).encode()),
    ),
    version=st.sampled_from([V16, V20, V21, V22, Version()]),
)
def test_any_file_gives_a_configuration(tree: Tree, data: bytes, version: Version) -> None:
    config = read_config(FILE, version, tree({FILE: data}))
    assert config.roots is not None
    assert with_status(config, {"registry": {"mirrors": {"x": 3}}}).mirrors == {"x": ()}


@pytest.mark.parametrize(("file", "held"), [(None, True), ("version = 2\nnonsense", True), ("version = 2\n", False)])
def test_a_configuration_that_cannot_be_read_may_hold_credentials(tree: Tree, file: str | None, held: bool) -> None:
    config = read_config("/c.toml", V17, tree({"/c.toml": file}), given=True)
    assert holds_credentials(config, "x.example", 443) is held
    told = with_status(config, {"registry": {"configPath": ""}})
    assert not holds_credentials(told, "x.example", 443)
