"""What one registries.conf says, as the parts that read it share it (go.podman.io/image: pkg/sysregistriesv2)."""

from __future__ import annotations

import enum
from dataclasses import field

from pullwhy.frozen import frozen


class InvalidRegistriesFile(ValueError):
    """CRI-O cannot use the file; `line` counts from 1 and is None where it is not known."""

    def __init__(self, why: str, mend: str, line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.mend = mend
        self.line = line


class PullFrom(enum.StrEnum):
    """For which references a mirror is asked (`pull-from-mirror`)."""

    ALL = "all"
    DIGEST_ONLY = "digest-only"
    TAG_ONLY = "tag-only"


@frozen
class Location:
    """A place that images are pulled from: a mirror, or the registry itself."""

    location: str
    """`host[:port][/path]`; empty only for a registry with a wildcard prefix, which is then pulled from as it is named."""
    insecure: bool = False
    """HTTPS without verification, then plain HTTP."""
    pull_from: PullFrom = PullFrom.ALL


@frozen
class Registry:
    """One [[registry]] table."""

    prefix: str
    """Of the images that it is about; `*.example.com` stands for every name below."""
    upstream: Location
    mirrors: tuple[Location, ...] = ()
    blocked: bool = False
    digest_only: bool = False
    """`mirror-by-digest-only`: the mirrors are asked for digests alone."""
    file: str = ""
    line: int | None = None

    @property
    def source(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.line}" if self.line else self.file


@frozen
class RegistriesFile:
    """What one file says."""

    path: str
    registries: tuple[Registry, ...] = ()
    """Sorted by prefix; of equal ones the first."""
    search: tuple[str, ...] | None = None
    """`unqualified-search-registries`; None where the file does not set it."""
    search_line: int | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    """Short name to repository; an empty one takes back the alias of an earlier file."""
    helpers: tuple[str, ...] | None = None
    """`credential-helpers`; None where the file does not set it."""
    v1: bool = False
    """Whether it is of the old form with [registries.search], .insecure and .block, which knows no mirrors."""
