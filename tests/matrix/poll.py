"""Asks the collector for active and recovered findings again and again, and prints them, with the time, whenever they changed. Runs beside it."""

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

EVERY_SECONDS = 0.15
LIMIT = 500
STATES = ("Active", "Recovered")


def ask(url: str, state: str, tag: str) -> tuple[str, list[Any] | None]:
    """Return the answer's tag and the findings of a state; None for them where nothing changed since *tag*."""
    headers = {"If-None-Match": tag} if tag else {}
    request = urllib.request.Request(f"{url}/api/v1/findings?state={state}&limit={LIMIT}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.headers.get("ETag", ""), json.load(answer)["items"]
    except urllib.error.HTTPError as error:
        if error.code == 304:
            return tag, None
        raise


def main(url: str) -> None:
    """Poll until the process is ended."""
    tags: dict[str, str] = {}
    known: dict[str, list[Any]] = {}
    while True:
        for state in STATES:
            tags[state], items = ask(url, state, tags.get(state, ""))
            if items is not None and items != known.get(state):
                known[state] = items
                print(
                    json.dumps({"time": time.time(), "items": [item for each in known.values() for item in each]}),
                    flush=True,
                )
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
