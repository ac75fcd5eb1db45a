"""A collector as its users run it: a process of its own."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final, Self

PULLWHY: Final = Path(sys.executable).with_name("pullwhy")


class CollectorProcess:
    """Runs `pullwhy collector` on free loopback ports with a database in `folder`, or another one."""

    def __init__(self, folder: Path, settings: str = "", database: str = "") -> None:
        self._folder, self._settings = folder, settings
        self._database = database or f"{folder}/collector.db"
        self.grpc = self.url = ""

    def __enter__(self) -> Self:
        config = self._folder / "collector.toml"
        config.write_text(
            f'grpc_listen = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:0"\ndatabase = "{self._database}"\n'
            f"{self._settings}\n"
        )
        self._process = subprocess.Popen([PULLWHY, "collector", "--config", config], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr
        line = ""
        while "questions to" not in line:  # a database of an older schema is brought up first, and told so
            line = self._process.stderr.readline()
            assert line, "the collector did not start"
        words = line.replace(",", "").split()
        self.grpc, self.url = words[words.index("to") + 1], next(word for word in words if word.startswith("http://"))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def get(self, path: str) -> Any:
        """Ask, and return the JSON."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)
