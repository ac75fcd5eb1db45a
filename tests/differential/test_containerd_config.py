"""What pullwhy reads out of config.toml and its imports is what `containerd config dump` of each generation says."""

import dataclasses
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.trees import quoted, sampled
from pullwhy.runtime.containerd.files import CRI, IMAGES
from pullwhy.runtime.containerd.settings import ContainerdConfig, local_pull, read_config
from pullwhy.runtime.host.hostfs import HostFS
from pullwhy.runtime.versions import Version, parse_version
from pullwhy.trace import ConfigFault

from lab.lab import generations
from lab.packages import Components, version

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

FILES = ("config.toml", "a.toml", "conf.d/b.toml", "conf.d/c.toml")
Table = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Configuration files by name; `@` in a text stands for their folder."""

    texts: Mapping[str, str]

    def __repr__(self) -> str:
        return "\n".join(f"--- {name}\n{text}" for name, text in self.texts.items())


names = st.sampled_from(["reg.example", "reg.example:5000", "*", "docker.io"])
endpoints = st.lists(st.sampled_from(["https://m1.example", "http://m2.example:5000", "m3.example"]), max_size=2)
registry_lines = st.one_of(
    st.sampled_from(["/etc/containerd/certs.d", "/a:/b", ""]).map(
        lambda path: ("registry", f"config_path = {quoted(path)}")
    ),
    st.builds(
        lambda name, found: (f"registry.mirrors.{quoted(name)}", f"endpoint = {found}".replace("'", '"')),
        names,
        endpoints,
    ),
    names.map(lambda name: (f"registry.configs.{quoted(name)}.tls", 'ca_file = "/ca.crt"')),
    names.map(lambda name: (f"registry.configs.{quoted(name)}.auth", 'username = "u"')),
    st.just(("registry.headers", 'X-Lab = ["1", "2"]')),
)
image_lines = st.sampled_from(
    [
        *(
            ("", "max_concurrent_downloads = 3"),
            ("", "max_concurrent_downloads = 5"),
            ("", "image_pull_with_sync_fs = true"),
        ),
        *(
            ("", "use_local_image_pull = true"),
            ("", "discard_unpacked_layers = true"),
            ("", 'sandbox_image = "own/pause:1"'),
        ),
        *(("", 'snapshotter = "native"'), ("", "disable_snapshot_annotations = false")),
        *(("pinned_images", 'sandbox = "own/pause:2"'), ("containerd", 'snapshotter = "native"')),
        *(
            ("containerd", "discard_unpacked_layers = true"),
            ("containerd.runtimes.runc", 'runtime_type = "io.containerd.runc.v2"'),
        ),
    ]
)


@st.composite
def file(draw: st.DrawFn, *, imports: bool) -> str:
    """Return the text of one file; of the settings for one table the first wins."""
    number = draw(st.sampled_from(["version = 2", "version = 2", "version = 3", "version = 3", "version = 1", ""]))
    lines = [number]
    if imports:
        found = draw(
            st.lists(
                st.sampled_from(["a.toml", "@/a.toml", "@/conf.d/*.toml", "@/none.toml", "conf.d/b.toml"]), max_size=2
            )
        )
        lines += [f"imports = [{', '.join(map(quoted, found))}]"] if found else []
    lines += [
        f"{key} = {quoted(f'/{key}')}"
        for key in draw(st.lists(st.sampled_from(["root", "state"]), max_size=2, unique=True))
    ]
    plugin = draw(st.sampled_from([f'"{CRI}"', f'"{CRI}"', f'"{IMAGES}"', f'"{IMAGES}"', "cri"]))
    tables: dict[str, dict[str, str]] = {}
    for table, line in draw(st.lists(st.one_of(registry_lines, image_lines), max_size=4)):
        tables.setdefault(table, {}).setdefault(line.partition(" =")[0], line)
    for table, chosen in tables.items():
        lines += [f"[plugins.{plugin}{'.' if table else ''}{table}]", *chosen.values()]
    return "\n".join([*lines, ""])


configurations = st.fixed_dictionaries(
    {"config.toml": file(imports=True)}, optional={name: file(imports=False) for name in FILES[1:]}
).map(Files)


def dumped(binary: Path, folder: Path) -> dict[str, Any] | None:
    """Return what containerd would run with, None where it would not start."""
    words = [str(binary), "--config", str(folder / "config.toml"), "config", "dump"]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", timeout=30, check=False)
    return tomllib.loads(done.stdout) if done.returncode == 0 else None


def told(document: Table, number: Version) -> dict[str, Any]:
    """Return the settings of a dump that bear on pulling."""
    new = number.at_least(2, 0)
    plugin = document["plugins"][IMAGES if new else CRI]
    registry = plugin.get("registry", {})
    containerd = plugin if new else plugin["containerd"]
    return {
        "config_path": registry.get("config_path", ""),
        "mirrors": {host: tuple(each.get("endpoint") or ()) for host, each in registry.get("mirrors", {}).items()},
        "tls": set() if new else {host for host, each in registry.get("configs", {}).items() if each.get("tls")},
        "auth": {host for host, each in registry.get("configs", {}).items() if each.get("auth")},
        "headers": sorted((name, value) for name, values in registry.get("headers", {}).items() for value in values),
        "sandbox": plugin.get("pinned_images", {}).get("sandbox", "") if new else plugin["sandbox_image"],
        "snapshotter": containerd["snapshotter"],
        "root": document["root"],
        "state": document["state"],
        "transfer": not local_pull(plugin, registry, number),
    }


def read(config: ContainerdConfig) -> dict[str, Any]:
    """Return the same settings as pullwhy reads them."""
    return {
        "config_path": config.config_path,
        "mirrors": dict(config.mirrors),
        "tls": set(config.tls),
        "auth": set(config.credentials_for),
        "headers": sorted((name, value.reveal()) for name, value in config.headers),
        "sandbox": config.sandbox_image,
        "snapshotter": config.snapshotter,
        "root": config.root,
        "state": config.state,
        "transfer": config.transfer_service,
    }


def fails(config: ContainerdConfig) -> bool:
    return any(
        problem.config is not None
        and problem.config.fault is ConfigFault.INVALID
        and "would not start" in problem.detail
        for problem in config.problems
    )


def test_settings_are_those_that_containerd_dumps(
    components: Components, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = dict.fromkeys(("configurations", "refused", "differences"), 0)

    @sampled(60)
    @given(files=configurations)
    def agree(files: Files) -> None:
        for name in FILES:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
            if name in files.texts:
                path.write_text(files.texts[name].replace("@", str(tmp_path)))
        for generation in generations(components):
            binary = components.containerd[generation]
            number = parse_version(version(binary))
            config = read_config(str(tmp_path / "config.toml"), number, HostFS(), given=True)
            document = dumped(binary, tmp_path)
            counts["configurations"] += 1
            counts["refused"] += document is None
            theirs = "it would not start" if document is None else told(document, number)
            ours = "it would not start" if fails(config) else read(config)
            counts["differences"] += ours != theirs
            assert ours == theirs, f"containerd {number}\n{files}"

    try:
        agree()
    finally:
        with capsys.disabled():
            print(f"\n  config.toml: {counts}")
