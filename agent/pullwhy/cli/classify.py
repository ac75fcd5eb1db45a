"""`pullwhy classify`: error messages in, hypotheses out, one JSON object a line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, TextIO

import msgspec

from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.model import Hypothesis
from pullwhy.text import printable

MAX_LINE: Final = 1_048_576
"""Bytes read of one line; an error message is far shorter."""

_EXAMPLE: Final = 'kubectl get events -o json | jq -c ".items[] | {id: .metadata.uid, message}" | pullwhy classify'


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `classify`."""
    parser = subparsers.add_parser(
        "classify",
        help="say what the text of an error tells about its cause",
        description="Reads log lines or error messages from standard input and says of each which cause its text tells of. "
        "A line that is a JSON object with a `message` is an envelope (`id`, `message`); any other line is one message, "
        "with its line number as `id`.",
        epilog=f"example: {_EXAMPLE}",
    )
    parser.add_argument("files", nargs="*", help=argparse.SUPPRESS)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.files:
        name = printable(options.files[0], 300)
        raise CommandError(f"it reads standard input, write: pullwhy classify < {name}", EX_USAGE)
    return run(sys.stdin.buffer, sys.stdout)


def run(source: BinaryIO, out: TextIO) -> int:
    """Classify every line of `source`; return the exit code."""
    from pullwhy.diagnose.classify.classifier import classify  # noqa: PLC0415 - its tables compile when they are needed

    for identity, message in envelopes(source):
        out.write(f"{msgspec.json.encode(answer(identity, classify(message))).decode()}\n")
        out.flush()
    return 0


def envelopes(source: BinaryIO) -> Iterator[tuple[Any, str]]:
    """Yield id and message of each line; a line's own number is the id of what is no envelope."""
    number = 0
    while raw := source.readline(MAX_LINE):
        if not raw.endswith(b"\n"):
            while (rest := source.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
        number += 1
        text = raw.rstrip(b"\r\n").decode(errors="replace")
        if text:
            yield _envelope(text) or (number, text)


def _envelope(text: str) -> tuple[Any, str] | None:
    if not text.startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("message"), str):
        return None
    return found.get("id"), found["message"]


def answer(identity: Any, hypothesis: Hypothesis | None) -> dict[str, Any]:
    """Return the contract's object for one message."""
    if hypothesis is None:
        told: dict[str, Any] = dict.fromkeys(("cause", "via", "stage", "image", "registry", "retryable"))
        return {"id": identity, **told, "alternatives": []}
    return {
        "id": identity,
        "cause": hypothesis.cause,
        "via": hypothesis.via,
        "stage": hypothesis.stage,
        "image": hypothesis.image or None,
        "registry": hypothesis.registry or None,
        "retryable": hypothesis.retryable,
        "alternatives": list(hypothesis.alternatives),
    }
