"""The structure that the code promises: imports point one way, and heavy libraries stay where they belong."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pullwhy

PACKAGE = Path(pullwhy.__file__).parent
TESTS = Path(__file__).parent

# Lowest first: a room may import from its own layer's shared modules and from every layer below, never from above or beside.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "",
            "access",
            "failure",
            "frozen",
            "model",
            "image",
            "likeness",
            "secret",
            "text",
            "redact",
            "gotext",
            "syncerror",
            "pulltext",
            "cgroup",
            "pb",
            "clientpair",
        }
    ),
    frozenset({"trace"}),
    frozenset({"plan", "config"}),
    frozenset({"watch", "runtime", "probe", "diagnose"}),
    frozenset({"protocol", "kubernetes"}),
    frozenset({"node", "collector"}),
    frozenset({"cli", "__main__"}),
)
ONLY_IMPORTERS = {
    "systemd": {"watch/journal.py"},
    "h11": {"probe/http.py"},
    "psycopg": {"collector/store/postgres.py", "collector/store/postgresconnection.py"},
    "sqlite3": {"collector/store/sqlite.py", "collector/store/sqliteschema.py"},
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "pb" not in path.relative_to(PACKAGE).parts)


@functools.cache
def imports_of(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def room(dotted: str) -> str:
    parts = dotted.split(".")
    known = {name for layer in LAYERS for name in layer}
    return parts[1] if len(parts) > 1 and parts[1] in known else ""


def layer(name: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    own = "" if own == "__init__" else own
    for name in imports_of(path):
        if name.split(".")[0] != "pullwhy":
            continue
        other = room(name)
        allowed = other == own or layer(other) < layer(own) or layer(other) == layer(own) == 0
        assert allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("library", ONLY_IMPORTERS)
def test_a_library_with_one_home_has_one_importer(library: str) -> None:
    importers = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if any(name.split(".")[0] == library for name in imports_of(path))
    }
    assert importers
    assert importers <= ONLY_IMPORTERS[library]


def test_every_file_can_be_read_in_one_sitting() -> None:
    files = [*modules(), *TESTS.rglob("*.py")]
    long = {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > 350}
    assert not long


NAMED = re.compile(r"(?<![\w./`-])(?:node|collector|runtime|diagnose|watch|probe|cli)(?:\.[A-Za-z_]\w*)+(?![\w(=/-])")


def docstrings(path: Path) -> Iterator[str]:
    yield from (
        node.value.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def test_modules_that_docstrings_name_are_there() -> None:
    stale = []
    for path in modules():
        for name in NAMED.findall(" ".join(docstrings(path))):
            parts = [part for part in name.split(".") if part.islower()]
            found = any((PACKAGE.joinpath(*parts[:n]).with_suffix(".py")).is_file() for n in range(2, len(parts) + 1))
            if not found and not PACKAGE.joinpath(*parts).is_dir():
                stale.append(f"{path.relative_to(PACKAGE)}: {name}")
    assert stale == []
