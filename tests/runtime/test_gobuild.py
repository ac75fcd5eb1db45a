import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pullwhy.plan import GoBuild
from pullwhy.runtime.host.gobuild import read_build

MODULES = (
    "path\tgithub.com/containerd/containerd\n"
    "build\t-tags={tags}\nbuild\tCGO_ENABLED={cgo}\nbuild\tDefaultGODEBUG=tlsmlkem=0,x509negativeserial=1\n"
)


def varint(text: bytes) -> bytes:
    length, data = len(text), b""
    while length >= 0x80:
        data += bytes((length & 0x7F | 0x80,))
        length >>= 7
    return data + bytes((length,)) + text


def program(version: str = "go1.24.4", *, cgo: str = "1", tags: str = "apparmor,seccomp", inline: int = 2) -> bytes:
    """Return an ELF file of three sections: none, the build information, the names."""
    modules = b"s" * 16 + MODULES.format(cgo=cgo, tags=tags).encode() + b"e" * 16
    info = b"\xff Go buildinf:" + bytes((8, inline)) + b"\0" * 16 + varint(version.encode()) + varint(modules)
    names = b"\0.go.buildinfo\0.shstrtab\0"
    header_size, sections_at = 64, 64 + len(info) + len(names)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 0, sections_at, 0, header_size, 56, 0, 64, 3, 2
    )
    none = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    built = struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, header_size, len(info), 0, 0, 16, 0)
    named = struct.pack("<IIQQQQIIQQ", 15, 3, 0, 0, header_size + len(info), len(names), 0, 0, 1, 0)
    return header + info + names + none + built + named


def built(data: bytes, environment: str = "") -> GoBuild:
    return read_build(io.BytesIO(data), environment)


def test_version_cgo_and_settings_are_read_from_the_program() -> None:
    go = built(program())
    assert (go.minor, go.cgo, go.setting("tlsmlkem")) == (24, True, "0")
    assert not go.since(23, "x509negativeserial=1")
    assert go.since(24)
    assert not go.since(25)


def test_the_environment_wins_over_the_builds_own_settings() -> None:
    assert built(program(), "x509negativeserial=0").since(23, "x509negativeserial=1")


@pytest.mark.parametrize(("cgo", "tags"), [("0", ""), ("1", "netgo,osusergo"), ("1", "seccomp netgo")])
def test_a_static_build_never_asks_libc(cgo: str, tags: str) -> None:
    assert built(program(cgo=cgo, tags=tags)).cgo is False


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + b"\0" * 100, program(inline=0)])
def test_what_is_no_go_program_tells_nothing(data: bytes) -> None:
    assert built(data) == GoBuild()
    assert built(data).since(99)


@settings(deadline=None)
@given(st.data())
def test_damaged_programs_are_read_without_harm(data: st.DataObject) -> None:
    damaged = bytearray(program())
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    assert built(bytes(damaged)).minor >= 0
