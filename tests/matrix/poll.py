"""Asks the collector for active findings again and again, and prints them, with the time, whenever they changed. Runs beside it."""

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

EVERY_SECONDS = 0.15
LIMIT = 500


def ask(url: str, tag: str) -> tuple[str, list[Any] | None]:
    """Return the answer's tag and the active findings; None for them where nothing changed since *tag*."""
    request = urllib.request.Request(
        f"{url}/api/v1/findings?state=Active&limit={LIMIT}", headers={"If-None-Match": tag} if tag else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.headers.get("ETag", ""), json.load(answer)["items"]
    except urllib.error.HTTPError as error:
        if error.code == 304:
            return tag, None
        raise


def main(url: str) -> None:
    """Poll until the process is ended."""
    tag = ""
    while True:
        tag, items = ask(url, tag)
        if items is not None:
            print(json.dumps({"time": time.time(), "items": items}), flush=True)
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
