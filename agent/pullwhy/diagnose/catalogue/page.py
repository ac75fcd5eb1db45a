"""The type of a cause's page in the documentation, and how its example texts are made."""

from __future__ import annotations

from typing import Final

from pullwhy.frozen import frozen

REGISTRY: Final = "registry.example"
IMAGE: Final = f"{REGISTRY}/shop/web:1.4"
DIGEST: Final = "sha256:5f2c3d0a8b7e6f1d4c9a2b8e7d6f5a4c3b2d1e0f9a8b7c6d5e4f3a2b1c0d9e8f"
MANIFEST: Final = f"https://{REGISTRY}/v2/shop/web/manifests/1.4"
BLOB: Final = f"https://{REGISTRY}/v2/shop/web/blobs/{DIGEST}"


@frozen(kw_only=True)
class Page:
    """What the documentation says of a cause beside its catalogue entry; not loaded by the agent."""

    about: str
    """What it is and how it comes about."""
    texts: tuple[str, ...] = ()
    """How it looks in the kubelet's words: made in the form of real messages, with hosts of examples."""
    proof: str
    """What an observation on the node must show for `Proved`."""
    avoid: str
    """What is often advised, and why not to do it."""


def pulled(error: str, code: str = "Unknown", image: str = IMAGE) -> str:
    """Return the kubelet's text for a pull that containerd failed with `error`."""
    return f'Failed to pull image "{image}": rpc error: code = {code} desc = failed to pull and unpack image "{image}": {error}'


def resolved(error: str, code: str = "Unknown", image: str = IMAGE) -> str:
    """Return the kubelet's text where containerd could not resolve the reference (1.x, 2.0 and the local pull of later ones)."""
    return pulled(f'failed to resolve reference "{image}": {error}', code, image)


def head(error: str, url: str = MANIFEST) -> str:
    """Return the kubelet's text where containerd's first request came to nothing."""
    return resolved(f'failed to do request: Head "{url}": {error}')


def copied(error: str) -> str:
    """Return the kubelet's text where content could not be fetched."""
    return pulled(f"failed to copy: {error}")
