"""What `pullwhy explain` tells: a problem, a finding, or those of a pod or an image, at length."""

from __future__ import annotations

import argparse
import re
from typing import Final

from pullwhy.cli import output
from pullwhy.cli.answers import FINDINGS, PROBLEMS
from pullwhy.cli.client import Client, NotFound
from pullwhy.cli.filters import ANY, asked_of, said_of
from pullwhy.cli.main import EX_USAGE, CommandError
from pullwhy.cli.watching import Documents, say
from pullwhy.diagnose.explain.finding import explain as explain_finding
from pullwhy.diagnose.explain.page import DEFAULT_WIDTH
from pullwhy.diagnose.explain.problem import explain_problem
from pullwhy.text import printable

EXPLAINED: Final = 10
"""Findings that one `explain` tells at length."""
FORMS: Final = "ID (or 4 of its first characters), pod/NAME, pod/NAMESPACE/NAME, or IMAGE"
SOME: Final = 5
"""Ids that one error names."""

_ID: Final = re.compile(r"[0-9a-f]{16}\Z")
_ID_PREFIX: Final = re.compile(r"[0-9a-f]{4,15}\Z")
_POD: Final = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}\Z")
"""NAMESPACE/NAME; many an image reads the same."""


def explain(options: argparse.Namespace) -> int:
    """Tell what the target names."""
    client: Client = options.connect(options)
    documents, more = _targets(client, options)
    if options.output != "table":
        output.print_findings(documents, options.output)
        return 0
    to = output.screen()
    width = min(to.width or DEFAULT_WIDTH, DEFAULT_WIDTH)
    texts = [
        (explain_problem if "failing_nodes" in document else explain_finding)(document, width, to.now)
        for document in documents
    ]
    output.write(to.out, "\n".join(texts) + "\n")
    if more:
        say(f"\nonly the {len(documents)} seen last are told; see the others with: pullwhy findings")
    return 0


def _targets(client: Client, options: argparse.Namespace) -> tuple[Documents, bool]:
    target, asked = options.target, asked_of(options)
    if path := _path(client, target, options.cluster):
        try:
            return [client.one(path, {"cluster": options.cluster} if path.startswith(FINDINGS) else {})], False
        except NotFound:
            raise CommandError(
                f"no finding or problem {printable(target, 200)} at {options.server}; it may have been forgotten for its age; "
                f"all there is: pullwhy findings --state {ANY}"
            ) from None
    meanings = _meanings(target)
    for meaning in meanings:
        found, more = client.all(FINDINGS, asked | meaning, EXPLAINED)
        if found:
            return found, more
    for meaning in meanings if not options.state else ():
        # Nothing fails now: the last thing that did is what was meant.
        found = client.all(FINDINGS, asked | meaning | {"state": ""}, 1)[0]
        if found:
            return found, False
    filters = said_of({name: value for name, value in asked.items() if name not in ("image", "state")})
    raise CommandError(
        f"no finding about {printable(target, 200)}{filters} at {options.server}; write {FORMS}; "
        f"all there is: pullwhy findings --state {ANY}"
    )


def _path(client: Client, target: str, cluster: str) -> str:
    """Return the path of the finding or problem with this id; empty where the target is none."""
    if _ID.match(target):
        try:
            return f"{PROBLEMS}/{client.one(f'{PROBLEMS}/{target}', {})['id']}"
        except (NotFound, KeyError):
            return f"{FINDINGS}/{target}"
    found = whole_ids(client, target, cluster, (PROBLEMS, FINDINGS)) if _ID_PREFIX.match(target) else []
    return found[0] if found else ""


def whole_ids(client: Client, prefix: str, cluster: str, lists: tuple[str, ...]) -> list[str]:
    """Return the path of the one thing in `lists` whose id begins so; raises CommandError where several do."""
    asked = {"cluster": cluster, "id": prefix}
    paths = [f"{path}/{each.get('id')}" for path in lists for each in client.all(path, asked, SOME)[0]]
    paths = sorted(set(paths))
    if len(paths) > 1:
        ids = ", ".join(printable(path.rpartition("/")[2]) for path in paths)
        raise CommandError(f"several ids begin with {prefix}: {ids}; write more of it")
    return paths


def _meanings(target: str) -> list[dict[str, str]]:
    """Return what `target` may ask for, the likeliest first; raises CommandError where it names no pod after `pod/`."""
    kind, _, rest = target.partition("/")
    parts = rest.split("/")
    if kind in ("pod", "pods", "po") and rest:
        if len(parts) > 2 or not all(parts):  # noqa: PLR2004 - NAMESPACE/NAME
            raise CommandError(f"{printable(target, 200)}: write {FORMS}", EX_USAGE)
        return [{"namespace": parts[0], "pod": parts[1]} if len(parts) > 1 else {"pod": rest}]
    if target.endswith("/") or not target:
        raise CommandError(f"{printable(target, 200)}: write {FORMS}", EX_USAGE)
    image = {"image": target}
    return [{"namespace": kind, "pod": rest}, image] if _POD.match(target) else [image]
