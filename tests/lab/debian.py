"""Fetches packages of any Debian suite beside the system: an apt with folders of its own, and dpkg that only unpacks."""

import dataclasses
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab.errors import LabError, last_lines

SOURCES = Path("/etc/apt")
_SUITES = {"bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable", "oldstable"}
_DEB_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$")


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """One version of a package that the mirror has."""

    package: str
    version: str
    suite: str = ""


def command(argv: Sequence[str], *, cwd: Path | None = None, seconds: float = 600) -> str:
    """Run *argv* and return its standard output; raises LabError with its last lines when it fails."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)} ended with {done.returncode}:\n{last_lines(done.stdout + done.stderr)}")
    return done.stdout


def mirror(folder: Path = SOURCES) -> str:
    """Return the address of the Debian mirror that this machine itself uses.

    It is the first one with a plain suite (no "-security", no "-updates") and the component "main" that has Debian's own
    keyring or none named. Raises LabError when there is none.
    """
    for address, suites in _debian_sources(folder):
        if _SUITES & suites:
            return address
    raise LabError(f"no Debian mirror in {folder}: add a source with the component main")


def security_mirror(folder: Path = SOURCES) -> str:
    """Return the address from which this machine has its security updates; raises LabError when there is none."""
    for address, suites in _debian_sources(folder):
        if {f"{suite}-security" for suite in _SUITES} & suites:
            return address
    raise LabError(f"no security updates in {folder}: add a source with a suite such as bookworm-security")


def _debian_sources(folder: Path) -> Iterator[tuple[str, set[str]]]:
    for path in sorted(folder.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
            suites = set(fields.get("Suites", "").split())
            if suites and _is_debian(fields.get("Components", ""), fields.get("Signed-By", "debian")):
                yield str(fields["URIs"].split()[0]), suites
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.list"))]:
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            match = _DEB_LINE.match(line.strip())
            if match and _is_debian(match[3], line if "signed-by" in line else "debian"):
                yield match[1], {match[2]}


def _is_debian(components: str, keyring: str) -> bool:
    return "main" in components.split() and "debian" in keyring


@dataclasses.dataclass(frozen=True, slots=True)
class Archive:
    """An apt of our own under *folder* that knows several suites and never touches the system's."""

    folder: Path

    def update(self, suites: Sequence[str]) -> None:
        """Fetch the package lists of *suites* from the machine's own mirror; raises LabError."""
        for part in ("lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        address = mirror()
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        lines = [f"deb [signed-by={keyring}] {address} {suite} main\n" for suite in suites]
        (self.folder / "sources.list").write_text("".join(lines), encoding="utf-8")
        command(["apt-get", *self._options(), "update"])

    def offers(self, package: str) -> list[Offer]:
        """Return the versions of *package* that the suites have; raises LabError when apt fails."""
        text = command(["apt-cache", *self._options(), "madison", package])
        rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
        return [
            Offer(row[0], row[1], row[2].split()[1].partition("/")[0])
            for row in rows
            if len(row) > 2 and row[0] == package
        ]

    def depends(self, offer: Offer) -> list[str]:
        """Return the names of the packages that *offer* depends on, of alternatives the first; raises LabError."""
        text = command(["apt-cache", *self._options(), "show", f"{offer.package}={offer.version}"])
        field = next((line for line in text.splitlines() if line.startswith("Depends:")), "Depends:")
        return [part.split()[0].partition(":")[0] for part in field.removeprefix("Depends:").split(",") if part.strip()]

    def closure(self, packages: Sequence[str], suite: str) -> list[Offer]:
        """Return the packages with all that they depend on, as *suite* has them; raises LabError."""
        words = ["--simulate", "--no-install-recommends", "--target-release", suite, "install", *packages]
        text = command(["apt-get", *self._options(), *words])
        return [Offer(name, version, suite) for name, version in re.findall(r"^Inst (\S+) \((\S+)", text, re.MULTILINE)]

    def unpack_all(self, offers: Sequence[Offer], into: Path) -> None:
        """Download *offers* and unpack them over each other to the new folder *into*; raises LabError."""
        fetched = self.folder / "fetched" / into.name
        fetched.mkdir(parents=True, exist_ok=True)
        command(
            ["apt-get", *self._options(), "download", *(f"{one.package}={one.version}" for one in offers)], cwd=fetched
        )
        partial = into.with_name(f"{into.name}.partial")
        for archive in sorted(fetched.glob("*.deb")):
            command(["dpkg-deb", "--extract", str(archive), str(partial)])
            archive.unlink()
        partial.rename(into)

    def unpack(self, offer: Offer, into: Path) -> None:
        """Download *offer* and unpack it to the new folder *into*, running none of its scripts; raises LabError."""
        fetched = self.folder / "fetched" / f"{offer.package}-{offer.version}"
        fetched.mkdir(parents=True, exist_ok=True)
        command(["apt-get", *self._options(), "download", f"{offer.package}={offer.version}"], cwd=fetched)
        partial = into.with_name(f"{into.name}.partial")
        for archive in fetched.glob("*.deb"):
            command(["dpkg-deb", "--extract", str(archive), str(partial)])
            archive.unlink()
        partial.rename(into)

    def _options(self) -> list[str]:
        settings = {
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "APT::Get::List-Cleanup": "0",
        }
        return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
