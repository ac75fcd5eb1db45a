"""Makes sure that what the lab needs is there: small system packages, and the tested components unpacked beside the system."""

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from lab.debian import Archive, Offer, command
from lab.errors import LabError

GENERATIONS = ("1.6", "1.7", "2.1")
"""The containerd release lines that the lab runs, by the start of the version that the binary prints."""

SUITES = ("bookworm", "trixie", "testing", "sid")
TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "gcc": "gcc",
    "journalctl": "systemd",
    "/lib/systemd/systemd-journald": "systemd",
    "/lib/systemd/systemd-journal-remote": "systemd-journal-remote",
    "/usr/include/stdio.h": "libc6-dev",
    "/usr/lib/postgresql": "postgresql",
}
"""Program or file → the Debian package that brings it: what the lab takes from the system itself."""

_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")


@dataclasses.dataclass(frozen=True, slots=True)
class Components:
    """Where the tested programs are: containerd by generation, runc, the registry, and the pause program of the sandboxes."""

    cache: Path
    containerd: Mapping[str, Path]
    runc: Path
    registry: Path
    pause: Path
    kubelet: Path | None = None
    replaced: bool = False
    """Whether one containerd stands in for every generation."""

    def generation(self, wanted: str | None = None) -> str:
        """Return the generation to run where *wanted* is asked for, by default the newest; raises LabError."""
        if wanted is None or self.replaced:
            return list(self.containerd)[-1]
        if wanted not in self.containerd:
            raise LabError(f"no containerd {wanted} here; there are {', '.join(self.containerd)}")
        return wanted


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return where unpacked components are kept: PULLWHY_LAB_CACHE, else a folder in the user's own cache."""
    named = environment.get("PULLWHY_LAB_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "pullwhy-lab"


def version(*words: str | Path) -> str:
    """Return the version that a program prints with --version; raises LabError."""
    match = _VERSION.search(command([*map(str, words), "--version"], seconds=20))
    if match is None:
        raise LabError(f"{words[-1]} --version prints no version")
    return match[1]


def ensure(environment: Mapping[str, str] = os.environ) -> Components:
    """Install and unpack what is missing and return where everything is; raises LabError. Quick when all is there."""
    cache = cache_folder(environment)
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        _install_tools()
        return Components(
            cache=cache,
            containerd=_containerds(cache, environment.get("PULLWHY_LAB_CONTAINERD")),
            runc=_component(cache, "runc", "usr/sbin/runc", environment.get("PULLWHY_LAB_RUNC")),
            registry=_component(
                cache, "docker-registry", "usr/bin/docker-registry", environment.get("PULLWHY_LAB_REGISTRY")
            ),
            pause=_pause(cache),
            replaced=bool(environment.get("PULLWHY_LAB_CONTAINERD")),
            kubelet=_named(environment.get("PULLWHY_LAB_KUBELET"), "PULLWHY_LAB_KUBELET"),
        )


def unpacked(cache: Path, package: str, suite: str) -> Path:
    """Return the folder with the files of *package* as *suite* has it, unpacked beside the system; raises LabError."""
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        return _unpacked(cache, package, f"in {suite}", lambda offer: offer.suite == suite)


def _install_tools() -> None:
    missing = sorted({package for tool, package in TOOLS.items() if not _present(tool)})
    if not missing:
        return
    print(f"lab: installing {' '.join(missing)}", flush=True)
    privilege = [] if os.geteuid() == 0 else ["sudo"]
    command([*privilege, "apt-get", "update", "-qq"])
    command([*privilege, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing])


def _present(tool: str) -> bool:
    if tool.startswith("/"):
        return Path(tool).exists()
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _containerds(cache: Path, named: str | None) -> dict[str, Path]:
    override = _named(named, "PULLWHY_LAB_CONTAINERD")
    if override is not None:
        if not list(override.parent.glob("containerd-shim-runc-v2")):
            raise LabError(f"PULLWHY_LAB_CONTAINERD: no containerd-shim-runc-v2 beside {override}")
        return {".".join(version(override).split(".")[:2]): override}
    found: dict[str, Path] = {}
    for generation in GENERATIONS:
        pick = rf"{re.escape(generation)}\..*"
        found[generation] = _component(cache, "containerd", "usr/bin/containerd", None, pick)
        if not version(found[generation]).startswith(f"{generation}."):
            raise LabError(f"{found[generation]} is {version(found[generation])}, not {generation}: remove its folder")
    return found


def _component(cache: Path, package: str, binary: str, named: str | None, pick: str = ".*") -> Path:
    variable = f"PULLWHY_LAB_{package.rpartition('-')[2].upper()}"
    override = _named(named, variable)
    if override is not None:
        return override
    return _unpacked(cache, package, pick, lambda offer: bool(re.fullmatch(pick, offer.version))) / binary


def _unpacked(cache: Path, package: str, wanted: str, fits: Callable[[Offer], bool]) -> Path:
    register = cache / "unpacked.json"
    folders: dict[str, str] = json.loads(register.read_text(encoding="utf-8")) if register.exists() else {}
    key = f"{package} {wanted}"
    if key in folders and (cache / folders[key]).exists():
        return cache / folders[key]
    offer = _choose(cache, package, wanted, fits)
    folder = f"{package}-{offer.version.replace('~', '_')}"
    if not (cache / folder).exists():
        print(f"lab: unpacking {package} {offer.version}", flush=True)
        Archive(cache / "apt").unpack(offer, cache / folder)
    folders[key] = folder
    register.write_text(json.dumps(folders, indent=1), encoding="utf-8")
    return cache / folder


def _choose(cache: Path, package: str, wanted: str, fits: Callable[[Offer], bool]) -> Offer:
    archive = Archive(cache / "apt")
    if not (cache / "apt" / "sources.list").exists() or not archive.offers(package):
        print(f"lab: reading the package lists of {', '.join(SUITES)}", flush=True)
        archive.update(SUITES)
    offers = archive.offers(package)
    fitting = [offer for offer in offers if fits(offer)]
    if not fitting:
        listed = ", ".join(sorted({offer.version for offer in offers})) or "none"
        raise LabError(f"no suite of {', '.join(SUITES)} offers {package} {wanted}; offered: {listed}")
    # madison lists the newest suite first; the oldest that fits is the one that needs the least of the system.
    return fitting[-1]


def _named(value: str | None, variable: str) -> Path | None:
    if not value:
        return None
    path = Path(value).resolve()
    if not os.access(path, os.X_OK):
        raise LabError(f"{variable}: {path} is not an executable file")
    return path


def _pause(cache: Path) -> Path:
    source = Path(__file__).with_name("pause.c")
    binary = cache / "pause"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        command(["gcc", "-static", "-Os", "-s", "-o", f"{binary}.new", str(source)])
        Path(f"{binary}.new").rename(binary)
    return binary


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Make everything ready and print the versions found."""
    try:
        components = ensure()
        for generation, binary in components.containerd.items():
            print(f"containerd {generation}: {version(binary)} ({binary})")
        print(f"runc: {version(components.runc)} ({components.runc})")
        print(f"docker-registry: {version(components.registry)} ({components.registry})")
        if components.kubelet is not None:
            print(f"kubelet: {version(components.kubelet)} ({components.kubelet})")
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
