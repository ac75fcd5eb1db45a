"""The documents tell the truth about what can be checked: settings, keys and commands."""

import argparse
import dataclasses
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pullwhy.cli.main import build_parser
from pullwhy.collector import metrics as collector_metrics
from pullwhy.collector.api.operations import OPERATIONS
from pullwhy.collector.records import NodeFacts
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import AgentSettings, keys
from pullwhy.node.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("kind", [AgentSettings, CollectorSettings])
def test_every_setting_is_documented(kind: type[Any]) -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    assert [key for key in keys(kind) if f"`{key}`" not in text] == []


def test_no_setting_is_documented_that_does_not_exist() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    documented = {name for cell in cells for name in re.findall(r"`([a-z_.]+)`", cell)}
    assert documented == {*keys(AgentSettings), *keys(CollectorSettings)}


def test_every_route_parameter_and_key_of_a_node_is_documented() -> None:
    text = (ROOT / "docs/api.md").read_text()
    parameters = {each.name for operation in OPERATIONS for each in operation.parameters}
    known = [
        *(operation.path for operation in OPERATIONS),
        *parameters,
        *(field.name for field in dataclasses.fields(NodeFacts)),
    ]
    assert [name for name in known if f"`{name}`" not in text and f"`{name}[]`" not in text] == []


def test_the_metrics_that_are_documented_are_those_that_exist_with_their_labels() -> None:
    text = (ROOT / "docs/api.md").read_text()
    exposed = f"{Metrics().text()}\n{collector_metrics.Metrics().text().decode()}"
    samples = re.findall(r"^(pullwhy_\w+)(?:\{([^}]*)\})? ", exposed, re.MULTILINE)
    known = {(name, *re.findall(r'(\w+)="', labels)) for name, labels in samples if not name.endswith("_created")}
    rows = re.findall(r"^\| `(pullwhy_\w+)` \|([^|]*)\|", text, re.MULTILINE)
    assert {(name, *re.findall(r"`(\w+)`", labels)) for name, labels in rows} == known


def test_the_pages_of_causes_are_what_the_catalogue_generates_today(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts/docs", tmp_path], check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "causes").iterdir()}
    kept = {path.name: path.read_text() for path in (ROOT / "docs/causes").iterdir()}
    assert made.keys() == kept.keys(), "run `make docs`"
    assert [name for name in made if made[name] != kept[name]] == [], "run `make docs`"


def test_every_command_is_in_the_readme() -> None:
    subparsers = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    readme = (ROOT / "README.md").read_text()
    assert [name for name in subparsers.choices if f"pullwhy {name}" not in readme and f"`{name}`" not in readme] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code forges make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
            if "://" not in target:
                place = page.parent / target if target else page
                assert place.exists(), f"{page.name}: {target}"
                assert not anchor or anchor in anchors(place), f"{page.name}: {target}#{anchor}"
