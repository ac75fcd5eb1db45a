"""A stand-in for kubectl: no Kubernetes, but kubectl's command line, output and errors, and a port that is really forwarded.

It answers from a JSON file that the environment names: the kubeconfig, what is there, how `port-forward` ends. Every start is written down.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

WHERE: Final = "PULLWHY_STANDIN"

LIVES: Final = {"good": math.inf, "one": 1, "none": 0}
"""How many connections a port is forwarded for."""
ERRORS: Final = {
    "not-found": 'Error from server (NotFound): services "pullwhy-collector" not found',
    "forbidden": 'Error from server (Forbidden): services "pullwhy-collector" is forbidden: User "jane" cannot get resource '
    '"services" in API group "" in the namespace "pullwhy"',
    "pending": "error: unable to forward port because pod is not running. Current status=Pending",
    "unreachable": 'E1126 01:17:07.337060    1067 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group list"\n'
    "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
}
"""As kubectl 1.32 writes them."""

ANY_SIGNAL = ("/usr/bin/env", "--default-signal=HUP,INT,TERM")
"""Before a command: what started the tests may ignore a signal, as a background job does, and children inherit that."""


class Kubectl:
    """What one test's kubectl knows, and how to start programs that find it first in their PATH."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "kubectl"
        self._folder.mkdir()
        self._state = self._folder / "state.json"
        self.answers: dict[str, Any] = {"config": kubeconfig(), "forward": [], "collector": 0}
        program = self._folder / "kubectl"
        program.write_text(f"#!{sys.executable}\nimport runpy\nrunpy.run_path({__file__!r}, run_name='__main__')\n")
        program.chmod(0o755)

    def set(self, **answers: Any) -> None:
        self.answers |= answers
        self._state.write_text(json.dumps(self.answers))

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PULLWHY_", "KUBE"))}
        return clean | {"PATH": f"{self._folder}:{clean['PATH']}", WHERE: str(self._folder)}

    @property
    def calls(self) -> list[list[str]]:
        path = self._folder / "calls"
        return [json.loads(line)["argv"] for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def pids(self) -> list[int]:
        return [json.loads(line)["pid"] for line in (self._folder / "calls").read_text().splitlines()]

    def called(self, word: str) -> list[list[str]]:
        return [each for each in self.calls if word in each]


def kubeconfig(user: dict[str, Any] | None = None, namespace: str = "shop") -> dict[str, Any]:
    return {
        "kind": "Config",
        "apiVersion": "v1",
        "preferences": {},
        "clusters": [{"name": "prod", "cluster": {"server": "https://10.0.0.1:6443"}}],
        "users": [{"name": "jane", "user": user or {}}],
        "contexts": [
            {"name": "work", "context": {"cluster": "prod", "user": "jane", "namespace": namespace}},
            {"name": "bare", "context": {"cluster": "prod", "user": "jane"}},
        ],
        "current-context": "work",
    }


async def forward(port: int, lives: float) -> int:
    """Forward connections; end as kubectl does when the pod goes, after so many of them."""
    count, gone = 0, asyncio.Event()

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
            sink.write_eof()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        print(f"Handling connection for {local}", flush=True)
        if count > lives:
            writer.transport.abort()
            gone.set()
            return
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, outer), pipe(inner, writer))
        for each in (outer, writer):
            each.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    local = server.sockets[0].getsockname()[1]
    print(f"Forwarding from 127.0.0.1:{local} -> 8080", flush=True)
    await gone.wait()
    print("error: lost connection to pod", file=sys.stderr)
    return 1


def port_forward(state: dict[str, Any], folder: Path) -> int:
    """Do what is next of `forward`, at last forward for good."""
    past = folder / "forwards"
    number = len(past.read_text()) if past.exists() else 0
    with past.open("a") as file:
        file.write("x")
    kind = (state["forward"][number:] or ["good"])[0]
    if kind in ERRORS:
        print(ERRORS[kind], file=sys.stderr)
        return 1
    if kind == "silent":
        print("To sign in, open https://login", file=sys.stderr)
        threading.Event().wait()
    return asyncio.run(forward(state["collector"], LIVES[kind]))


def main() -> int:
    folder = Path(os.environ[WHERE])
    with (folder / "calls").open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:]}) + "\n")
    state = json.loads((folder / "state.json").read_text())
    parser = argparse.ArgumentParser()
    for name in ("kubeconfig", "context", "namespace", "as", "request-timeout", "server", "output", "selector"):
        parser.add_argument(f"--{name}")
    for name in ("field-selector", "container", "duration", "audience", "address"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--client", action="store_true")
    parser.add_argument("words", nargs="+")
    mine, dashes, theirs = "\0".join(sys.argv[1:]).partition("\0--\0")
    given = parser.parse_intermixed_args(mine.split("\0"))
    words = " ".join(given.words + (theirs.split("\0") if dashes else []))
    print(state.get("prompts", {}).get(given.words[0], ""), end="", file=sys.stderr, flush=True)
    if words == "config view" and given.raw and given.output == "json":
        print(json.dumps(state["config"], indent=4))
    elif words == "port-forward service/pullwhy-collector :http" and given.address == "127.0.0.1":
        return port_forward(state, folder)
    elif words in state.get("answers", {}):
        sys.stdout.write(state["answers"][words])
    else:
        print(state.get("errors", {}).get(words, f"error: unknown command {words!r}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
