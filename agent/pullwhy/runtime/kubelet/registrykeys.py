"""The kubelet's rules by which a key of credentials, or a provider's matchImages, fits an image.

Source: kubelet 1.24 to 1.36, pkg/credentialprovider/keyring.go (Add, URLsMatch, Lookup).
"""

from __future__ import annotations

import fnmatch
from typing import Final

from pullwhy.image import ImageReference
from pullwhy.runtime import urls

DEFAULT_HUB_KEY: Final = "index.docker.io"
_HUB: Final = "Docker Hub's key is https://index.docker.io/v1/"
_HUB_MISTAKES: Final = frozenset({"registry-1.docker.io", "hub.docker.com", "registry.hub.docker.com"})
_API_VERSIONS: Final = frozenset({"v1", "v2"})


def comparable(written: str) -> str:
    """Return a key as the kubelet compares it: without scheme and without a leading /v1/ or /v2/; empty for no address."""
    text = written if written.startswith(("https://", "http://")) else f"https://{written}"
    try:
        address = urls.parse_url(text)
    except ValueError:
        return ""
    path = address.path[3:] if address.path.startswith(("/v1/", "/v2/")) else address.path
    return address.authority + (path if path != "/" else "")


def matches(key: str, name: str) -> bool:
    """Whether a key fits an image's name: as many labels, each matching (globs allowed), the same port, the path a prefix."""
    key_host, _, key_path = key.partition("/")
    host, _, path = name.partition("/")
    key_name, key_port = urls.split_port(key_host)
    wanted, port = urls.split_port(host)
    patterns, labels = key_name.split("."), wanted.split(".")
    return (
        key_port == port
        and len(patterns) == len(labels)
        and path.startswith(key_path)
        and all(_label_matches(label, pattern) for pattern, label in zip(patterns, labels, strict=True))
    )


def _label_matches(label: str, pattern: str) -> bool:
    # Go's filepath.Match negates a class by ^, Python's by !.
    return fnmatch.fnmatchcase(label, pattern.replace("[!", "[\\!").replace("[^", "[!"))


def why_not(image: ImageReference, written: str) -> str:
    """Return why a key that looks meant for an image does not fit it; empty where it fits, or is a stranger's."""
    key = comparable(written)
    if not key:
        return "it is no address"
    wanted, port = urls.split_port(image.registry)
    host, _, prefix = key.partition("/")
    name, key_port = urls.split_port(host)
    own = name.lower() == wanted.lower() or (image.is_docker_hub and name == DEFAULT_HUB_KEY)
    if matches(key, image.name) or (image.is_docker_hub and key == DEFAULT_HUB_KEY):
        return ""
    if image.is_docker_hub and (name in _HUB_MISTAKES or (name == DEFAULT_HUB_KEY and prefix not in _API_VERSIONS)):
        return _HUB
    if own and key_port != port:
        return f"its port is {key_port or 'absent'}, the image's is {port or 'absent'}, and they must be the same"
    if own and prefix in _API_VERSIONS:
        return f"/{prefix} without a slash after it is taken for a path of the image"
    if name == wanted and prefix:
        return f"its path /{prefix} is no prefix of {image.repository}"
    if own:
        return "its letters differ in case"
    if wanted.endswith(f".{name}") or name.endswith(f".{wanted}"):
        return f"a key must have as many labels as {wanted}"
    return ""
