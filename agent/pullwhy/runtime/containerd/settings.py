"""What containerd's configuration says about pulling images, with its version's defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.runtime.containerd.files import DEFAULT_FILE, InvalidRuntimeConfig, Loaded, Place, load
from pullwhy.runtime.containerd.hosts import faulty, unseen
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.urls import split_port, without_user_info
from pullwhy.runtime.versions import Version
from pullwhy.secret import Secret
from pullwhy.trace import ConfigFacts, ConfigFault, StageResult

DEFAULT_ROOT: Final = "/var/lib/containerd"
DEFAULT_STATE: Final = "/run/containerd"
TWO_ROOTS: Final = "/etc/containerd/certs.d:/etc/docker/certs.d"
"""The built-in config_path from 2.2 on (containerd 2.2: internal/cri/config/config_unix.go)."""

_SANDBOX_IMAGES: Final = (((2, 2), "3.10.1"), ((2, 0), "3.10"), ((1, 7), "3.8"), ((1, 6), "3.6"))
_CONCURRENT_DOWNLOADS: Final = 3


@frozen
class InlineTLS:
    """The deprecated `registry.configs.HOST.tls` (containerd 1.x)."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    skip_verify: bool = False


@frozen
class ContainerdConfig:
    """The settings in force. Credentials are noted as present and never kept."""

    version: Version
    file: str = ""
    """Empty where there is none and the built-in defaults rule."""
    files: tuple[str, ...] = ()
    """The file and its imports, in the order of reading."""
    config_path: str = ""
    config_path_place: Place | None = None
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tls: Mapping[str, InlineTLS] = field(default_factory=dict)
    headers: tuple[tuple[str, Secret], ...] = ()
    credentials_for: tuple[str, ...] = ()
    """Hosts for which the runtime itself holds credentials."""
    credentials_known: bool = True
    """Whether that is all of them; False where the configuration could not be read."""
    local_pull_because: str = ""
    """Why images are pulled without the transfer service; empty where the transfer service pulls (2.1 on)."""
    sandbox_image: str = ""
    root: str = DEFAULT_ROOT
    state: str = DEFAULT_STATE
    snapshotter: str = "overlayfs"
    problems: tuple[StageResult, ...] = ()

    @property
    def transfer_service(self) -> bool:
        """Whether the transfer service pulls, which takes `config_path` for one directory."""
        return not self.local_pull_because

    @property
    def roots(self) -> tuple[str, ...]:
        """The certs.d roots that are really looked into, in order (containerd 2.1: cri/server/images/image_pull.go)."""
        if not self.config_path:
            return ()
        return (
            (self.config_path,) if self.transfer_service else tuple(part or "." for part in self.config_path.split(":"))
        )

    @property
    def inline(self) -> bool:
        """Whether `mirrors` and `configs` of config.toml decide instead of certs.d."""
        return not self.config_path and not self.transfer_service


def read_config(path: str, version: Version, fs: HostFS, *, given: bool = False) -> ContainerdConfig:
    """Return the configuration in `path`, or the version's defaults where there is no file.

    `given` says that the runtime's command line (or the user) names the file, so that its absence is a fault. What is wrong
    or cannot be read comes back as `problems`; nothing is raised.
    """
    path = path or DEFAULT_FILE
    try:
        return _settle(load(path, version, fs), path, version)
    except InvalidRuntimeConfig as error:
        why = f"containerd would not start with this file: {error.why}"
        facts = ConfigFacts(ConfigFault.INVALID, error.path, why, error.mend, error.line, decides=False)
        defaults = _settle(Loaded(), "", version)
        return replace(defaults, file=path, problems=(faulty(facts),), credentials_known=False)
    except UnreadableFile as error:
        defaults = _settle(Loaded(), "", version)
        if error.missing and not given:
            return defaults
        unknown = unseen(error, "containerd's configuration")
        return replace(defaults, file=path, problems=(unknown,), credentials_known=False)


def with_status(config: ContainerdConfig, info: Mapping[str, object]) -> ContainerdConfig:
    """Return the configuration corrected by what containerd 1.x itself says it runs with (Status, verbose).

    `info` is the `config` of the runtime's status without its secrets. containerd 2.x tells nothing about registries.
    """
    registry = info.get("registry")
    if not isinstance(registry, dict):
        return config
    path = registry.get("configPath")
    mirrors = _mirrors({host: _dict(mirror) for host, mirror in _dict(registry.get("mirrors")).items()})
    changed = (path, mirrors) != (config.config_path, config.mirrors) and bool(config.file)
    fresh = replace(
        config,
        credentials_known=True,
        config_path=path if isinstance(path, str) else config.config_path,
        mirrors=mirrors,
        sandbox_image=_text(info, "sandboxImage") or config.sandbox_image,
        root=_text(info, "containerdRootDir") or config.root,
        snapshotter=_text(_dict(info.get("containerd")), "snapshotter") or config.snapshotter,
    )
    if not changed:
        return fresh
    why = "containerd runs with other registry settings than this file has: it was changed since, or is not the one in use"
    facts = ConfigFacts(ConfigFault.IGNORED, config.file, why, "restart containerd, drained, to load it", decides=False)
    return replace(fresh, config_path_place=None, problems=(*config.problems, faulty(facts)))


def _settle(loaded: Loaded, path: str, version: Version) -> ContainerdConfig:
    images, registry = loaded.images, _dict(loaded.images.get("registry"))
    mirrors = _mirrors({host: _dict(mirror) for host, mirror in _dict(registry.get("mirrors")).items()})
    config_path = _text(registry, "config_path")
    if not config_path and not mirrors and version.at_least(2, 2):
        config_path = TWO_ROOTS
    configs = {host: _dict(config) for host, config in _dict(registry.get("configs")).items()}
    tls = {} if version.at_least(2, 0) else {host: _tls(config) for host, config in configs.items() if "tls" in config}
    return ContainerdConfig(
        version=version,
        file=path,
        files=loaded.files,
        config_path=config_path,
        config_path_place=loaded.config_path,
        mirrors=mirrors,
        tls=tls,
        headers=_headers(_dict(registry.get("headers"))),
        credentials_for=_credentials(configs, _dict(registry.get("auths"))),
        local_pull_because=local_pull(images, registry, version),
        sandbox_image=_text(_dict(images.get("pinned_images")), "sandbox") or _sandbox_image(version),
        root=_text(loaded.top, "root") or DEFAULT_ROOT,
        state=_text(loaded.top, "state") or DEFAULT_STATE,
        snapshotter=_text(images, "snapshotter") or "overlayfs",
        problems=_problems(loaded, path, registry, mirrors, tls),
    )


def _problems(
    loaded: Loaded, path: str, registry: Mapping[str, Any], mirrors: Mapping[str, object], tls: Mapping[str, object]
) -> tuple[StageResult, ...]:
    found = [
        ConfigFacts(ConfigFault.IGNORED, place.file, why, mend, place.line, decides=False)
        for place, why, mend in loaded.ignored
    ]
    for name, there in (("mirrors", mirrors), ("configs.*.tls", tls)):
        if there and _text(registry, "config_path"):
            place = loaded.config_path or Place(path)
            why = f"`config_path` and `{name}` are both set: containerd's CRI plugin does not start with both"
            mend = (
                f"move the {'mirrors' if name == 'mirrors' else 'certificates'} to hosts.toml files below config_path"
            )
            found.append(ConfigFacts(ConfigFault.INVALID, place.file, why, mend, place.line, decides=False))
    return tuple(faulty(facts) for facts in found)


def local_pull(images: Mapping[str, Any], registry: Mapping[str, Any], version: Version) -> str:
    """Return what keeps the transfer service from pulling (containerd 2.1: internal/cri/config, CheckLocalImagePullConfigs)."""
    if not version.at_least(2, 1):
        return "this version has no other way"
    if images.get("use_local_image_pull") is True:
        return "use_local_image_pull = true"
    if images.get("disable_snapshot_annotations") is False:
        return "disable_snapshot_annotations = false"
    for key in ("discard_unpacked_layers", "image_pull_with_sync_fs"):
        if images.get(key) is True:
            return f"{key} = true"
    for key in ("mirrors", "configs", "auths"):
        if registry.get(key):
            return f"registry.{key} is set"
    downloads = images.get("max_concurrent_downloads", _CONCURRENT_DOWNLOADS)
    return "" if downloads == _CONCURRENT_DOWNLOADS else f"max_concurrent_downloads = {downloads}"


def _sandbox_image(version: Version) -> str:
    tag = next((tag for since, tag in _SANDBOX_IMAGES if version.at_least(*since)), "")
    return f"registry.k8s.io/pause:{tag}" if tag else ""


def _mirrors(table: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    return {
        host: tuple(without_user_info(name) for name in mirror.get("endpoint") or () if isinstance(name, str))
        for host, mirror in table.items()
    }


def _tls(config: Mapping[str, Any]) -> InlineTLS:
    tls = _dict(config.get("tls"))
    skip = tls.get("insecure_skip_verify") is True
    return InlineTLS(_text(tls, "ca_file"), _text(tls, "cert_file"), _text(tls, "key_file"), skip)


def _headers(table: Mapping[str, Any]) -> tuple[tuple[str, Secret], ...]:
    return tuple(
        (name, Secret(value))
        for name, values in table.items()
        for value in (values if isinstance(values, list) else ())
        if isinstance(value, str)
    )


def _credentials(configs: Mapping[str, Mapping[str, Any]], auths: Mapping[str, Any]) -> tuple[str, ...]:
    named = [host for host, config in configs.items() if _dict(config.get("auth"))]
    named += [url.partition("://")[2].partition("/")[0] or url for url in auths]
    return tuple(sorted(set(named)))


def holds_credentials(config: ContainerdConfig, host: str, port: int) -> bool:
    """Whether the runtime itself has, or may have, credentials for this endpoint: an image that it pulls then is open to every pod."""
    if not config.credentials_known:
        return True
    names = {host, f"{host}:{port}", f"[{host}]:{port}"}
    return any(name in names or split_port(name)[0] == host for name in config.credentials_for)


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
