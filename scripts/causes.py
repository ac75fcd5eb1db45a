"""Writes a page for each cause, and an index, from the declarations that the program itself uses."""  # noqa: INP001 - a script

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pullwhy.diagnose.catalogue.cause import ANY_STAGE, Cause
from pullwhy.diagnose.catalogue.causes import CATALOGUE
from pullwhy.diagnose.catalogue.page import IMAGE, REGISTRY, Page
from pullwhy.diagnose.catalogue.pages import PAGES
from pullwhy.diagnose.explain.factors import SENTENCES
from pullwhy.diagnose.explain.finding import SNIPPET_LINE
from pullwhy.diagnose.remedies.rendering import Remedy, render
from pullwhy.model import RemedyRef

ARGUMENTS = {
    "image": IMAGE,
    "host": REGISTRY,
    "registry": REGISTRY,
    "repository": "shop/web",
    "tag": "1.4",
    "reference": "1.4",
    "namespace": "shop",
    "container": "web",
    "config_why": "what is wrong with it stands in the finding",
    "mend": "So does what to write instead",
}
"""What stands for the node's and the image's own values."""
_CERTS_D = "/etc/containerd/certs.d"
_RANCHER = "/var/lib/rancher/{}/agent/etc/containerd/certs.d"


def _containerd(version: str, certs_d: str, **more: str) -> dict[str, str]:
    return {
        "runtime": "containerd",
        "version": version,
        "certs_d": certs_d,
        "file": f"{certs_d}/{REGISTRY}/hosts.toml",
        **more,
    }


RUNTIMES = {
    "containerd 1.x": _containerd("1.7.24", _CERTS_D, runtime_unit="containerd.service"),
    "containerd 2.x": _containerd("2.1.9", _CERTS_D, runtime_unit="containerd.service"),
    "k3s": _containerd("2.1.9", _RANCHER.format("k3s"), manager="k3s"),
    "rke2": _containerd("2.1.9", _RANCHER.format("rke2"), manager="rke2"),
    "CRI-O": {
        "runtime": "cri-o",
        "version": "1.36.3",
        "runtime_unit": "crio.service",
        "file": "/etc/containers/registries.conf",
    },
}
"""Configurations for which remedies may be worded differently."""

HEAD = """\
# Causes

Every finding names one of these causes, and no other: the catalogue is closed. These pages are generated from it (`make docs`).

- *Stage*: where it strikes, unless the failed request says otherwise.
- *Heals*: can the kubelet's own next try succeed with nothing changed?

| cause | stage | what it is | heals |
|---|---|---|---|
"""
VIA = """
*Via* says where on the way a cause struck, when not at the image's own registry: `SandboxImage`, `BlobHost`, `Mirror`, `TokenHost`, `Proxy`.

## Factors

Circumstances beside the cause that are worth knowing when mending it.

| factor | what it says |
|---|---|
"""


def index() -> str:
    """Return the page that lists all causes and factors."""
    rows = (
        f"| [`{each.id}`]({each.id}.md) | {each.stage} | {each.title} | {each.retryable} |\n"
        for each in CATALOGUE.values()
    )
    factors = (f"| `{factor}` | {sentence} |\n" for factor, sentence in SENTENCES.items())
    return HEAD + "".join(rows) + VIA + "".join(factors)


def page(cause: Cause) -> str:
    """Return the page of one cause."""
    return "\n".join(_lines(cause, PAGES[cause.id])) + "\n"


def _lines(cause: Cause, text: Page) -> Iterator[str]:
    also = "any other" if cause.also == ANY_STAGE else ", ".join(cause.also)
    yield f"# {cause.id}\n\n{cause.title}. {text.about}\n"
    yield f"- Stage: {cause.stage}{f', or {also}' if also else ''}"
    yield f"- Heals by itself: {cause.retryable}, {cause.why}"
    if cause.explains:
        links = ", ".join(f"[{each}]({each}.md)" for each in cause.explains)
        yield f"- Explains: {links}. Where this cause is observed, those are not told beside it."
    if text.texts:
        yield "\n## How it looks\n\nIn the kubelet's or the runtime's words, with hosts of examples:\n"
        yield "\n\n".join(f"```\n{each}\n```" for each in text.texts)
    yield f"\n## What proves it\n\n{text.proof}\n\n## What to do\n"
    yield from _remedies(cause)
    yield f"## What not to do\n\n{text.avoid}\n"
    yield "[All causes](README.md)"


def _remedies(cause: Cause) -> Iterator[str]:
    """Yield the remedy for each kind of node, those that are worded alike together."""
    worded: dict[Remedy, list[str]] = {}
    for runtime, own in RUNTIMES.items():
        worded.setdefault(render(RemedyRef(cause.remedy, ARGUMENTS | own)), []).append(runtime)
    yield f"A finding words it for its node (remedy `{cause.remedy}`). For the image `{IMAGE}`:\n"
    for remedy, runtimes in worded.items():
        if len(worded) > 1:
            yield f"### {', '.join(runtimes)}\n"
        yield f"{_paragraphs(remedy.text)}\n"
        for command in remedy.commands:
            needs = f" (needs {'; '.join(command.needs)})" if command.needs else ""
            yield f"On the {command.where}{needs}:\n\n```\n{command.run}\n```\n"
        if remedy.restart_required:
            yield "A restart is needed for it to take effect.\n"
        if not remedy.durable:
            yield "It does not last unless its source is changed too.\n"


def _paragraphs(text: str) -> str:
    """Return a remedy's text with the lines of configuration in it as blocks of their own."""
    parts: list[str] = []
    for lines in _runs(text.split("\n")):
        block = "\n".join(lines)
        parts.append(f"```\n{block}\n```" if _is_verbatim(lines[0]) else block.strip())
    return "\n\n".join(parts)


def _runs(lines: list[str]) -> list[list[str]]:
    """Return neighbouring lines of configuration together, and every other line by itself."""
    runs: list[list[str]] = []
    for line in lines:
        if runs and _is_verbatim(line) and _is_verbatim(runs[-1][0]):
            runs[-1].append(line)
        else:
            runs.append([line])
    return runs


def _is_verbatim(line: str) -> bool:
    return len(line) < SNIPPET_LINE and (line.startswith((" ", "[")) or line.endswith(":"))


def write(folder: Path) -> None:
    """Write all pages, and take away those of causes that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{cause.id}.md": page(cause) for cause in CATALOGUE.values()} | {"README.md": index()}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
