"""Debian's skopeo, unpacked beside the system with the libraries of its own suite: it reads registries.conf with CRI-O's library."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

from lab.debian import Archive, Offer
from lab.packages import cache_folder, unpacked, version

SUITES = ("bookworm", "trixie")
"""Whose skopeo is run: 1.9 with containers/image 5.23, and 1.18 with 5.34. PULLWHY_LAB_SKOPEO_SUITE names another one instead."""


def suites(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the suites to take skopeo from."""
    named = environment.get("PULLWHY_LAB_SKOPEO_SUITE")
    return (named,) if named else SUITES


@dataclasses.dataclass(frozen=True, slots=True)
class Skopeo:
    """One skopeo that runs with its own C library, whatever the system has."""

    folders: tuple[Path, ...]
    """Its package's, then those of the libraries that it needs."""

    @classmethod
    def ensure(cls, suite: str) -> "Skopeo":
        """Unpack what is missing; raises LabError."""
        cache = cache_folder()
        register = cache / f"skopeo-{suite}.json"
        names: list[str] = json.loads(register.read_text(encoding="utf-8")) if register.exists() else []
        if not names or not all((cache / name).exists() for name in names):
            names = [unpacked(cache, "skopeo", suite).name]
            names += [unpacked(cache, package, suite).name for package in _libraries(Archive(cache / "apt"), suite)]
            register.write_text(json.dumps(names), encoding="utf-8")
        return cls(tuple(cache / name for name in names))

    def command(self, *words: str) -> list[str]:
        """Return the command line of a skopeo with these arguments."""
        libraries = [path for folder in self.folders for path in folder.glob("**/*-linux-gnu") if path.is_dir()]
        loader = next(path for folder in self.folders for path in sorted(folder.glob("**/ld-linux*.so*")))
        program = self.folders[0] / "usr/bin/skopeo"
        return [str(loader), "--library-path", ":".join(map(str, libraries)), str(program), *words]

    @property
    def version(self) -> str:
        """What it says of itself; raises LabError."""
        return version(*self.command())


def _libraries(archive: Archive, suite: str) -> list[str]:
    """Return the libraries that skopeo needs, with those that they need; raises LabError."""
    found: list[str] = []
    left = ["skopeo"]
    while left:
        package = left.pop()
        offer = next(offer for offer in archive.offers(package) if offer.suite == suite)
        fresh = [name for name in archive.depends(Offer(package, offer.version)) if name.startswith("lib")]
        fresh = [name for name in fresh if name not in found and archive.offers(name)]
        found += fresh
        left += fresh
    return found
