"""What an image name without a registry stands for on a CRI-O node.

Source: go.podman.io/image 5.39, pkg/shortnames and pkg/sysregistriesv2 (shortnames.go); CRI-O 1.24 to 1.36,
internal/storage/image.go (CandidatesForPotentiallyShortImageName).
"""

from __future__ import annotations

from typing import Final

from pullwhy.frozen import frozen
from pullwhy.image import ImageReference, parse
from pullwhy.runtime.crio.registries import Registries, UnusableRegistries
from pullwhy.runtime.crio.registriesconf import parse_registries_file
from pullwhy.runtime.crio.registrytables import InvalidRegistriesFile
from pullwhy.runtime.host.hostfs import HostFS, UnreadableFile
from pullwhy.trace import ConfigFacts, ConfigFault

LEARNT: Final = "/var/cache/containers/short-name-aliases.conf"
"""Aliases that podman recorded as root; they win over those of registries.conf."""
QUALIFY: Final = (
    "name the registry in the workload's image, as in {example}; leave this file as it is: whatever it allows,"
    " it allows to every pod of the node"
)


@frozen
class Resolved:
    """What a short name stands for."""

    candidates: tuple[ImageReference, ...]
    """In CRI-O's order; the last one's error is the one that it reports."""
    why: str
    """For people: which file says so."""


def is_short(image: ImageReference) -> bool:
    """Whether the image was named without a registry."""
    return "registry" in image.defaulted


def resolve(image: ImageReference, registries: Registries, fs: HostFS, *, enforcing: bool) -> Resolved:
    """Return the candidates of a short name; `enforcing` refuses more than one that no alias decides.

    Raises UnusableRegistries where there is none, or a file of aliases cannot be used.
    """
    written = image.repository.removeprefix("library/") if "library" in image.defaulted else image.repository
    tag = f":{image.tag}" if image.tag else ""
    suffix = f"@{image.digest}" if image.digest else tag
    target, file = {**registries.aliases, **_learnt(fs)}.get(written, ("", ""))
    if target:
        return Resolved((parse(f"{target}{suffix}"),), f"{written} is an alias for {target} in {file}")
    if not registries.search:
        why = f"the image names no registry, and neither an alias for {written} nor a search registry is set"
        raise _unresolved(registries, why, f"docker.io/{image.repository}{suffix}")
    candidates = tuple(parse(f"{registry}/{written}{suffix}") for registry in registries.search)
    listed = ", ".join(registries.search[:5])
    if enforcing and len(candidates) > 1:
        why = f"the image names no registry, and CRI-O's short_name_mode is enforcing: it may be of any of {listed}"
        raise _unresolved(registries, why, str(candidates[0]))
    return Resolved(candidates, f"{written} is looked for in {listed}, as {registries.search_place} says")


def _unresolved(registries: Registries, why: str, example: str) -> UnusableRegistries:
    file, _, line = registries.search_place.rpartition(":")
    place, number = (file, int(line)) if line.isdigit() else (registries.search_place, None)
    return UnusableRegistries(ConfigFacts(ConfigFault.INVALID, place, why, QUALIFY.format(example=example), number))


def _learnt(fs: HostFS) -> dict[str, tuple[str, str]]:
    try:
        found = parse_registries_file(fs.read(LEARNT), LEARNT)
    except InvalidRegistriesFile as error:
        facts = ConfigFacts(ConfigFault.INVALID, LEARNT, error.why, error.mend, error.line)
        raise UnusableRegistries(facts) from None
    except UnreadableFile as error:
        if error.missing:
            return {}
        raise
    return {name: (value, LEARNT) for name, value in found.aliases.items()}
