"""The documents tell the truth about what can be checked: settings, keys and commands."""

import argparse
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pullwhy.cli.main import build_parser
from pullwhy.collector.settings import CollectorSettings
from pullwhy.config import AgentSettings, keys

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


def test_the_page_of_causes_is_what_the_catalogue_generates_today(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts/docs", tmp_path], check=True)
    assert (tmp_path / "causes.md").read_text() == (ROOT / "docs/causes.md").read_text(), "run `make docs`"


def test_every_command_is_in_the_readme() -> None:
    subparsers = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    readme = (ROOT / "README.md").read_text()
    assert [name for name in subparsers.choices if f"pullwhy {name}" not in readme and f"`{name}`" not in readme] == []


def test_links_between_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
