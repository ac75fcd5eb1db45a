"""The kubelet's exec credential providers: which of them serve an image, and whether the kubelet can run them. None is ever run.

Source: kubelet 1.24 to 1.36, pkg/credentialprovider/plugin/{config,plugin}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from pullwhy.access import Provider, Providers
from pullwhy.image import ImageReference
from pullwhy.runtime import urls
from pullwhy.runtime.documents import decode, texts
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.runtime.kubelet import registrykeys
from pullwhy.runtime.kubelet.settings import Kubelet

MAX_FILES: Final = 32
MAX_PROVIDERS: Final = 64
MAX_PATTERNS: Final = 200
"""matchImages read of one provider."""
SHOWN_PATTERNS: Final = 8
MAX_SHOWN: Final = 253
"""Characters of a name or pattern that is shown."""
_ENDINGS: Final = (".json", ".yaml", ".yml")


def providers(image: ImageReference, kubelet: Kubelet, fs: HostFS) -> Providers:
    """Return what the kubelet's providers are for an image; nothing is raised."""
    known = Providers(known=kubelet.seen)
    path = kubelet.provider_config
    if not path:
        return known
    try:
        entries = list(_entries(fs, path))
    except UnreadableFile as error:
        if error.denied:
            return replace(known, config=path, unseen=error.why)
        return replace(known, config=path, fault=error.why if error.path == path else str(error))
    except ValueError as error:
        return replace(known, config=path, fault=str(error))
    serving: list[Provider] = []
    patterns: list[str] = []
    for name, globs in entries:
        if any(_covers(glob, image) for glob in globs):
            serving.append(Provider(name[:MAX_SHOWN], _binary_fault(fs, kubelet.provider_directory, name)))
        else:
            patterns.extend(glob[:MAX_SHOWN] for glob in globs)
    return replace(known, config=path, serving=tuple(serving), patterns=tuple(patterns[:SHOWN_PATTERNS]))


def _covers(glob: str, image: ImageReference) -> bool:
    """Whether a matchImages entry covers an image; its path is taken as written, unlike a key's (ParseSchemelessURL)."""
    try:
        address = urls.parse_url(f"https://{glob}")
    except ValueError:
        return False
    return registrykeys.matches(address.authority + address.path, image.name)


def _entries(fs: HostFS, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and matchImages of each provider; raises UnreadableFile, and ValueError for a file that says none."""
    count = 0
    for file in _files(fs, path):
        try:
            document = decode(fs.text(file))
        except ValueError as error:
            raise ValueError(f"{file} {error}") from None
        for entry in _listed(document, file):
            count += 1
            if count > MAX_PROVIDERS:
                raise ValueError(f"it has more than {MAX_PROVIDERS} providers")
            yield entry["name"], texts(entry.get("matchImages"))[:MAX_PATTERNS]


def _files(fs: HostFS, path: str) -> Iterable[str]:
    """Return the files of a configuration: itself, or those of a directory in the order of their names (config.go, late 1.3x)."""
    if fs.kind(path) != "dir":
        return (path,)
    names = [entry.name for entry in fs.entries(path) if not entry.is_dir and entry.name.endswith(_ENDINGS)]
    return [f"{path.rstrip('/')}/{name}" for name in names[:MAX_FILES]]


def _listed(document: Any, file: str) -> list[dict[str, Any]]:
    if not isinstance(document, dict) or document.get("kind") != "CredentialProviderConfig":
        raise ValueError(f"{file} is no CredentialProviderConfig")
    entries = document.get("providers")
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("name"), str) and entry["name"] for entry in entries
    ):
        raise ValueError(f"{file} has no list of providers, each with a name")
    return entries


def _binary_fault(fs: HostFS, directory: str, name: str) -> str:
    if not directory:
        return "the kubelet's flag --image-credential-provider-bin-dir is not set"
    path = f"{directory.rstrip('/')}/{name}"
    try:
        if fs.kind(path) != "file":
            return f"{path[:MAX_SHOWN]}: {'no such file' if not fs.kind(path) else 'no regular file'}"
        return "" if fs.executable(path) else f"{path[:MAX_SHOWN]}: not executable"
    except UnreadableFile as error:
        return "" if error.denied else f"{path[:MAX_SHOWN]}: {error.why}"
