"""How a Go program was built, from the build information that its binary carries (Go 1.27: debug/buildinfo, runtime/debug)."""

from __future__ import annotations

import re
import struct
from typing import BinaryIO, Final

from pullwhy.plan import GoBuild

MAX_INFO: Final = 1 << 20
"""Bytes of the build information; containerd's has 20,000, its modules for the most part."""
MAX_SECTIONS: Final = 512

_NAME: Final = b".go.buildinfo\0"
_MAGIC: Final = b"\xff Go buildinf:"
_INLINE: Final = 2
"""Flag of the format since Go 1.18: the texts follow the header."""
_HEADER: Final = 32
_SENTINEL: Final = 16
"""Bytes around the module text (runtime/debug: infoStart, infoEnd)."""
_VERSION: Final = re.compile(r"go1\.(\d{1,3})")
_ELF64: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION64: Final = struct.Struct("<IIQQQQIIQQ")


def read_build(file: BinaryIO, environment: str = "") -> GoBuild:
    """Return how the program in `file` was built, all unknown where it does not tell.

    `environment` is the process's own GODEBUG, which wins over the defaults of the build.
    """
    try:
        version, modules = _texts(_section(file))
    except (OSError, ValueError, OverflowError, struct.error, IndexError):
        version, modules = "", ""
    found = _VERSION.search(version)
    settings = dict(_setting(line) for line in modules.split("\n") if line.startswith("build\t"))
    cgo = {"1": True, "0": False}.get(settings.get("CGO_ENABLED", ""))
    if "netgo" in settings.get("-tags", "").replace(" ", ",").split(","):
        cgo = False
    debug = (*_pairs(settings.get("DefaultGODEBUG", "")), *_pairs(environment))
    return GoBuild(int(found[1]) if found else 0, cgo, debug)


def _setting(line: str) -> tuple[str, str]:
    key, _, value = line.removeprefix("build\t").partition("=")
    return key, value.strip('"')


def _pairs(text: str) -> list[tuple[str, str]]:
    parts = [item.partition("=") for item in text.split(",")[:100]]
    return [(key.strip(), value.strip()) for key, equals, value in parts if equals]


def _section(file: BinaryIO) -> bytes:
    """Return the section .go.buildinfo of a 64-bit little-endian ELF file; raises ValueError where there is none."""
    header = _ELF64.unpack(file.read(_ELF64.size))
    if header[0][:6] != b"\x7fELF\x02\x01":
        raise ValueError("no 64-bit little-endian ELF file")
    offset, size, count, names = header[6], header[11], header[12], header[13]
    file.seek(offset)
    table = file.read(size * min(count, MAX_SECTIONS))
    sections = [_SECTION64.unpack_from(table, place) for place in range(0, len(table) - _SECTION64.size + 1, size)]
    file.seek(sections[names][4])
    text = file.read(min(sections[names][5], MAX_INFO))
    for section in sections:
        if text.startswith(_NAME, section[0]):
            file.seek(section[4])
            return file.read(min(section[5], MAX_INFO))
    raise ValueError("no section .go.buildinfo")


def _texts(section: bytes) -> tuple[str, str]:
    """Return version and module text; raises ValueError for the older format, which points elsewhere."""
    if not section.startswith(_MAGIC) or not section[15] & _INLINE:
        raise ValueError("no build information in line")
    version, place = _varint_bytes(section, _HEADER)
    modules, _ = _varint_bytes(section, place)
    return version.decode(errors="replace"), modules[_SENTINEL:-_SENTINEL].decode(errors="replace")


def _varint_bytes(data: bytes, place: int) -> tuple[bytes, int]:
    length, shift = 0, 0
    while True:
        byte = data[place]
        place += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a varint
            break
        shift += 7
        if shift > 28:  # noqa: PLR2004 - 32 bits
            raise ValueError("no length")
    return data[place : place + length], place + length
