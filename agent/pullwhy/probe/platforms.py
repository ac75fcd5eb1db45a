"""Which platforms of an index a node can use, by containerd's rules (containerd/platforms: compare.go, database.go)."""

from __future__ import annotations

from typing import Final

from pullwhy.frozen import frozen

_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "armhf": "arm",
    "armel": "arm",
}
_LOWEST_ARM: Final = 5


@frozen
class Platform:
    """One platform, normalised; an empty variant is the architecture's default."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @property
    def is_none(self) -> bool:
        """Whether it marks what is no image: attestations are `unknown/unknown` (BuildKit)."""
        return self.os == "unknown" or self.architecture == "unknown"


def normalise(os: str, architecture: str, variant: str = "") -> Platform:
    """Return the form in which platforms are compared."""
    os, architecture, variant = os.lower(), architecture.lower(), variant.lower()
    if architecture == "armel":
        variant = variant or "v6"
    architecture = _ARCHITECTURES.get(architecture, architecture)
    if variant[:1].isdigit():
        variant = f"v{variant}"
    if architecture == "arm" and not variant:
        variant = "v7"
    if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    return Platform("darwin" if os == "macos" else os, architecture, variant)


def parse(text: str) -> Platform:
    """Read `os/architecture[/variant]`."""
    os, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return normalise(os, architecture, variant)


def acceptable(node: Platform) -> tuple[Platform, ...]:
    """Return the platforms that a node takes, the best first."""
    found = [node]
    match node.architecture:
        case "amd64":
            level = _level(node.variant)
            found += [normalise(node.os, "amd64", f"v{lower}") for lower in range(level - 1, 0, -1)]
            found.append(Platform(node.os, "386"))
        case "arm":
            found += _arm_below(node.os, _level(node.variant))
        case "arm64":
            found.append(Platform(node.os, "arm", "v8"))
            found += _arm_below(node.os, 8)
    return tuple(dict.fromkeys(found))


def _arm_below(os: str, level: int) -> list[Platform]:
    return [Platform(os, "arm", f"v{lower}") for lower in range(level - 1, _LOWEST_ARM - 1, -1)]


def _level(variant: str) -> int:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isdecimal() and len(digits) == 1 else 0
