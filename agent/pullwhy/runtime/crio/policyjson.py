"""policy.json: whether CRI-O may run an image at all.

Source: go.podman.io/image 5.39, signature/policy_config.go and policy_eval.go (requirementsForImageRef), and
docker/policyconfiguration/naming.go. The policy is read at every pull, and applied once the manifest has come.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference

SYSTEM: Final = "/etc/containers/policy.json"
USER: Final = "/root/.config/containers/policy.json"
_TYPES: Final = ("insecureAcceptAnything", "reject", "signedBy", "signedBaseLayer", "sigstoreSigned")
_EXAMPLE: Final = 'correct it: {"default": [{"type": "reject"}], "transports": {"docker": {"HOST": [{"type": "…"}]}}}'


class InvalidPolicy(ValueError):
    """The library refuses the policy, and with it every pull."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.mend = _EXAMPLE
        self.line = line


@frozen
class Requirement:
    """What the policy asks of an image."""

    types: tuple[str, ...]
    scope: str
    """Where in the policy it stands, for people."""

    @property
    def rejects(self) -> bool:
        """Whether no image passes it."""
        return "reject" in self.types

    @property
    def signature(self) -> bool:
        """Whether a signature is asked for."""
        return any(kind.startswith("sig") for kind in self.types)


@frozen
class Policy:
    """The parts of a policy that bear on images of registries."""

    default: tuple[str, ...]
    docker: dict[str, tuple[str, ...]]
    """Scope to types; the empty scope stands for all."""

    def requirement(self, image: ImageReference) -> Requirement:
        """Return what is asked of an image: the most specific scope's."""
        for scope in _scopes(image):
            if scope in self.docker:
                return Requirement(self.docker[scope], f'transports.docker."{scope}"')
        return Requirement(self.default, "default")


def parse_policy(data: bytes) -> Policy:
    """Parse a policy.json; raises InvalidPolicy where the library's strict reader fails, but for the inside of signature rules."""
    try:
        document = json.loads(data, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        raise InvalidPolicy(f"it is no JSON: {error.msg}", error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise InvalidPolicy(str(error) or "it is nested too deeply") from None
    if not isinstance(document, dict):
        raise InvalidPolicy("it is no JSON object")
    unknown = next((key for key in document if key not in {"default", "transports"}), None)
    if unknown is not None:
        raise InvalidPolicy(f"the key {unknown[:80]!r} is unknown")
    if document.get("default") is None:
        raise InvalidPolicy("`default` is missing")
    transports = document.get("transports") or {}
    if not isinstance(transports, dict) or not all(isinstance(scopes, dict) for scopes in transports.values()):
        raise InvalidPolicy("`transports` is no table of tables")
    for name, scopes in transports.items():
        for scope, requirements in scopes.items():
            _types(requirements, f"transports.{name}.{scope}"[:120])
    docker = {scope: _types(each, scope) for scope, each in transports.get("docker", {}).items()}
    return Policy(_types(document["default"], "default"), docker)


def _types(requirements: Any, place: str) -> tuple[str, ...]:
    if not isinstance(requirements, list) or not requirements:
        raise InvalidPolicy(f"`{place}` is no list of requirements, or an empty one")
    return tuple(_type(requirement, place) for requirement in requirements)


def _type(requirement: Any, place: str) -> str:
    kind = requirement.get("type") if isinstance(requirement, dict) else None
    if kind not in _TYPES:
        raise InvalidPolicy(f"`{place}` has a requirement of the unknown type {str(kind)[:40]!r}")
    if kind in _TYPES[:2] and len(requirement) > 1:
        raise InvalidPolicy(f"`{place}` has a requirement of type {kind} with more than a type")
    return str(kind)


def _scopes(image: ImageReference) -> Iterator[str]:
    """Yield the scopes of an image, most specific first."""
    yield f"{image.name}@{image.digest}" if image.digest else f"{image.name}:{image.tag}"
    name = image.name
    yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
    name = name.partition(":")[0]
    while "." in name:
        name = name.partition(".")[2]
        yield f"*.{name}"
    yield ""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:80]!r} stands in it twice")
        found[key] = value
    return found
