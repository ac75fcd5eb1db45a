"""Keeps of the configuration that a runtime shows in its status only what is needed, and none of its secrets."""

from __future__ import annotations

import json
from typing import Any, Final

MAX_CHARACTERS: Final = 4 << 20


def scrubbed_config(text: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the wanted settings of a status' `config` JSON, and the hosts for which it holds credentials.

    containerd 1.6 and 1.7 show `registry.configs.HOST.auth`, `registry.auths` and `registry.headers` in clear
    (pkg/cri/config); they stay here.
    """
    if len(text) > MAX_CHARACTERS:
        return {}, ()
    try:
        config = _table(json.loads(text))
    except (ValueError, RecursionError):
        return {}, ()
    kept: dict[str, Any] = {key: config[key] for key in ("sandboxImage", "containerdRootDir") if key in config}
    snapshotter = _table(config.get("containerd")).get("snapshotter")
    if snapshotter:
        kept["containerd"] = {"snapshotter": snapshotter}
    if "registry" not in config:
        return kept, ()
    registry = _table(config["registry"])
    kept["registry"] = {key: registry[key] for key in ("configPath", "mirrors") if key in registry}
    hosts = {host for host, settings in _table(registry.get("configs")).items() if _table(settings).get("auth")}
    hosts |= {url.partition("://")[2].partition("/")[0] or url for url in _table(registry.get("auths"))}
    return kept, tuple(sorted(hosts))


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
