"""A program of some Debian suite, unpacked beside the system with all that it needs of its own suite, its C library too."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from lab.debian import Archive
from lab.packages import SUITES, cache_folder


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """One program that runs whatever the system has."""

    folder: Path
    binary: str
    """Its path below the folder."""

    @classmethod
    def ensure(cls, package: str, binary: str, suite: str, *, more: Sequence[str] = ()) -> Self:
        """Unpack what is missing; *more* are libraries that no dependency names. Raises LabError."""
        folder = cache_folder() / f"{package}-of-{suite}"
        if not folder.exists():
            print(f"lab: unpacking {package} of {suite} with its libraries", flush=True)
            archive = Archive(cache_folder() / "apt")
            if not (archive.folder / "sources.list").exists():
                archive.update(SUITES)
            shutil.rmtree(folder.with_name(f"{folder.name}.partial"), ignore_errors=True)
            archive.unpack_all(archive.closure((package, *more), suite), folder)
        return cls(folder, binary)

    def command(self, *words: str) -> list[str]:
        """Return the command line of the program with these arguments."""
        libraries = [path for path in self.folder.glob("usr/lib/*-linux-gnu") if path.is_dir()]
        libraries += [path for path in (each / "systemd" for each in libraries) if path.is_dir()]
        loader = next(path for path in sorted(self.folder.glob("usr/lib*/ld-linux*.so*")))
        return [str(loader), "--library-path", ":".join(map(str, libraries)), str(self.folder / self.binary), *words]
