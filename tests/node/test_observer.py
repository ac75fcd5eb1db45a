import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from pullwhy.node.observer import FINGERPRINT_SECONDS, NodeObserver
from pullwhy.node.runtimelink import RuntimeLink
from pullwhy.node.walk.plan import Sources


def test_a_changed_configuration_is_read_again_at_the_next_look(tmp_path: Path) -> None:
    config = tmp_path / "etc/containerd/config.toml"
    config.parent.mkdir(parents=True)
    sources = Sources(host_root=tmp_path, proc=tmp_path / "proc")
    now = [0.0]
    observer = NodeObserver(sources, RuntimeLink(sources, lambda: now[0]), lambda: now[0])

    def seen(tag: str) -> str:
        config.write_text(f'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "own/pause:{tag}"\n')
        now[0] += FINGERPRINT_SECONDS
        observer.fingerprint()
        asyncio.run(observer.sight())
        observer.fingerprint()
        return observer.sandbox_image()

    assert seen("1") == "own/pause:1"
    assert seen("2") == "own/pause:2"
    assert not observer.cri_answered()


def test_progress_is_the_newest_write_to_the_store_and_unknown_where_there_is_none(tmp_path: Path) -> None:
    config = tmp_path / "etc/containerd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('version = 2\nroot = "/data"\n')
    sources = Sources(host_root=tmp_path, proc=tmp_path / "proc")
    observer = NodeObserver(sources, RuntimeLink(sources))
    asyncio.run(observer.survey())
    assert observer.progress() is None
    store = tmp_path / "data/io.containerd.content.v1.content"
    snapshots = tmp_path / "data/io.containerd.snapshotter.v1.overlayfs/snapshots"
    places = [store / "ingest", store / "blobs/sha256", snapshots, store / "ingest/0a1b/data"]
    for place in (*places[:3], places[3].parent):
        place.mkdir(parents=True, exist_ok=True)
    places[3].touch()
    for newest in places:
        for place in places:
            os.utime(place, (1000, 2000 if place == newest else 1000))
        assert observer.progress() == datetime.fromtimestamp(2000, UTC), newest
