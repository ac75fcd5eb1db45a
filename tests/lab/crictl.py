"""The crictl of a node of the lab: rmi, which a remedy asks for, over the same CRI client as the stand-in kubelet."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.containerd import SOCKET
from lab.kubelet.cri import CriError, Runtime
from lab.namespace import Namespace, own_environment


def install_crictl(namespace: Namespace, descriptors: Path) -> None:
    """Put the lab's crictl on the namespace's PATH."""
    settings = " ".join(f"{key}='{value}'" for key, value in own_environment().items() if key.startswith("PYTHON"))
    script = f'#!/bin/sh\nexec env {settings} "{sys.executable}" -m lab.crictl "{descriptors}" "$@"\n'
    namespace.write("/usr/local/bin/crictl", script, 0o755)


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 where the runtime refuses."""
    parser = argparse.ArgumentParser(prog="crictl")
    parser.add_argument("descriptors", type=Path)
    parser.add_argument("verb", choices=("rmi",))
    parser.add_argument("image", nargs="+")
    options = parser.parse_args(words)
    runtime = Runtime(SOCKET, options.descriptors)
    for image in options.image:
        try:
            runtime.remove_image(image)
        except CriError as failed:
            print(f"crictl: {failed}", file=sys.stderr)
            return 1
        print(f"Deleted: {image}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
