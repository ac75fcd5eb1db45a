"""Writes the catalogue of causes as a page for people, from the declarations that the program itself uses."""  # noqa: INP001 - a script

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pullwhy.diagnose.cause import ANY_STAGE, Cause
from pullwhy.diagnose.causes import CATALOGUE
from pullwhy.diagnose.prescription import NO_RESTART, SOURCE_FIRST
from pullwhy.diagnose.remedy import Remedy, render
from pullwhy.model import RemedyRef

ARGUMENTS = {
    "image": "IMAGE",
    "host": "HOST",
    "registry": "REGISTRY",
    "repository": "REPOSITORY",
    "sandbox_image": "IMAGE",
    "nameserver": "NAMESERVER",
    "config_why": "what is wrong with it stands in the finding",
    "mend": "So does what to write instead",
    "certs_d": "/etc/containerd/certs.d",
}
"""What stands for the node's and the image's own values."""
SENTENCES = 3
"""Of a remedy: the first say what to do, the later ones how it goes on this very node."""

HEAD = """\
# Causes

Every finding names one of these causes, and no other: the catalogue is closed. This page is generated from it (`make docs`).

- *Stage*: where it strikes, unless the failed request says otherwise.
- *Heals*: can the kubelet's own next try succeed with nothing changed?
- *Explains*: causes whose symptom it produces. Where this one was observed, those are not told beside it.
- *Remedy*: what to do, in short. A finding words it for its node, with commands, files and the order of restarts.

| cause | stage | what it is | heals |
|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    causes = list(CATALOGUE.values())
    rows = (
        f"| [`{each.id}`](#{each.id.lower()}) | {each.stage} | {each.title} | {each.retryable} |\n" for each in causes
    )
    sections = ("\n".join(section(each)) for each in causes)
    return HEAD + "".join(rows) + "\n" + "\n\n".join(sections) + "\n"


def section(cause: Cause) -> Iterator[str]:
    """Yield one cause, line by line."""
    also = "any other" if cause.also == ANY_STAGE else ", ".join(cause.also)
    yield f"## {cause.id}\n"
    yield f"{cause.title}.\n"
    yield f"- Stage: {cause.stage}{f', or {also}' if also else ''}"
    yield f"- Heals: {cause.retryable}, {cause.why}"
    if cause.explains:
        yield f"- Explains: {', '.join(cause.explains)}"
    remedy = render(RemedyRef(cause.remedy, ARGUMENTS))
    yield f"- Remedy (`{remedy.id}`): {in_short(remedy)}"


def in_short(remedy: Remedy) -> str:
    """Return what a remedy says on any node."""
    text = remedy.text.replace(SOURCE_FIRST, "").replace(NO_RESTART, "")
    sentences = re.split(r"(?<=[a-z)`:%][.]) +", " ".join(text.split()))
    own = [each for each in sentences if not each.startswith(("Drain the node first:", "Afterwards `pullwhy"))]
    return " ".join(own[:SENTENCES]).strip()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
