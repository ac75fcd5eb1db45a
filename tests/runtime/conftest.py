"""A host's files as a table of paths and contents."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pullwhy.runtime.host.hostfs import HostFS

Content = str | bytes | None
Tree = Callable[[Mapping[str, Content]], HostFS]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a function that writes files (`-> target` makes a link, None a directory) and gives back their HostFS."""

    def write(files: Mapping[str, Content]) -> HostFS:
        for name, content in files.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, str) and content.startswith("-> "):
                path.symlink_to(content[3:])
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return HostFS(tmp_path)

    return write
