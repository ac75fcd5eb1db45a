import asyncio
from pathlib import Path

from pullwhy.node.link import RuntimeLink
from pullwhy.node.observer import FINGERPRINT_SECONDS, NodeObserver
from pullwhy.node.plan import Sources


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
