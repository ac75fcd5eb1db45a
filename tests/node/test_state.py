import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from node.fakes import START, WEB, at

from pullwhy.model import HintKind, KubeletHint, Reason
from pullwhy.node.incidents.backoff import Backoff
from pullwhy.node.incidents.hangs import Pull
from pullwhy.node.incidents.incidents import Incident
from pullwhy.node.incidents.schedule import Walked
from pullwhy.node.state import NAME, Kept, StateUnwritable, encode, load, save
from pullwhy.watch.cursor import FilePosition, JournalPosition, Positions

HINT = KubeletHint(START, "kubelet.service", HintKind.PULL_SECRET_UNAVAILABLE, "not found", WEB, secret="shop/cred")
OPEN = Incident("i:1", Reason.ERR_IMAGE_PULL, "m", "t", START, at(1), WEB, "app", backoff=Backoff(20.0, at(1)))
KEPT = Kept(
    Positions(JournalPosition("s=1;i=2", 3), (("/var/log/x", FilePosition(1, 2, 3, "h", 4)),)),
    (replace(OPEN, hints=(HINT,), tries=2),),
    (),
    (Walked("i:1", "t", START, "f", at(600)),),
    (Pull("i:2", "containerd.service", START),),
)


def test_what_was_kept_is_what_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "new", encode(KEPT))
    assert load(tmp_path / "new") == KEPT


def test_a_first_start_begins_anew(tmp_path: Path) -> None:
    assert load(tmp_path) == Kept()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 99}', b"\xff", b"[" * 100_000])
def test_a_file_that_cannot_be_used_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert load(tmp_path) == Kept()
    assert [path.name for path in tmp_path.iterdir()] == ["agent.unusable"]


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnwritable, match=r"state: .*file: .*; a restart will .* can write"):
        save(tmp_path / "file", b"")


def test_kept_at_any_moment_is_whole(tmp_path: Path) -> None:
    """A reader that looks at any time sees one of the states that were saved."""

    def save_often() -> None:
        for _ in range(20):
            save(tmp_path, encode(KEPT))

    async def run() -> None:
        save(tmp_path, encode(KEPT))
        writing = asyncio.ensure_future(asyncio.to_thread(save_often))
        while not writing.done():
            assert load(tmp_path) == KEPT
            await asyncio.sleep(0)
        await writing

    asyncio.run(run())
