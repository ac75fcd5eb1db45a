"""Reads an image in an OCI archive: its configuration and the files of its layers."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any


class Archive:
    """The one image of an archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with tarfile.open(path) as archive:
            self._blobs = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
            index = json.load(self._open("index.json"))
            manifest = json.load(self._blob(index["manifests"][0]))
            self.config: dict[str, Any] = json.load(self._blob(manifest["config"]))
            self.files: dict[str, tarfile.TarInfo] = {}
            for layer in manifest["layers"]:
                content = gzip.decompress(self._blob(layer).read())
                with tarfile.open(fileobj=io.BytesIO(content)) as files:
                    self.files |= {member.name.removeprefix("./").rstrip("/"): member for member in files}

    def _blob(self, descriptor: dict[str, Any]) -> Any:
        return self._open(f"blobs/{descriptor['digest'].replace(':', '/')}")

    def _open(self, name: str) -> Any:
        return self._blobs[name]
