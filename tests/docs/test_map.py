"""The documents are a true map: what they name is there, and what is there is named."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
ROOMS = ("console", "daemon", "desk", "incidents", "ingest", "kit", "notifiers", "rules", "store", "triage")
PATH = re.compile(r"`((?:%s|docs|tests|benchmarks)/[\w./<>-]*)(?:::(\w+))?`" % "|".join(ROOMS))  # noqa: UP031 - braces are the pattern's
MISSION = (ROOT / "docs" / "mission.md").read_text("utf-8")
ROWS = [
    *(f"D{row}" for row in range(1, 13)), *(f"M{part}.{row}" for part in range(1, 9) for row in range(1, 7)),
]  # fmt: skip


@pytest.mark.parametrize("page", DOCS, ids=[str(page.relative_to(ROOT)) for page in DOCS])
def test_every_path_and_test_that_a_page_names_is_there(page: Path) -> None:
    for path, test in PATH.findall(page.read_text("utf-8")):
        if "<" in path:  # stands for any name
            continue
        assert (ROOT / path).exists(), path
        if test:
            assert test in _tests(ROOT / path), f"{path}::{test}"


def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("page", DOCS, ids=[str(page.relative_to(ROOT)) for page in DOCS])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_drawing_has_every_room() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawing = architecture[architecture.index("```") : architecture.index("## The processes")]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(settings["tool"]["importlinter"]["root_packages"]) == set(ROOMS)
    assert all(f"│ {room} " in drawing for room in ROOMS)


def test_the_mission_tells_the_state_of_every_row() -> None:
    """What is built names where it lives and a test; what is not says so."""
    found = {}
    for line in MISSION.splitlines():
        match = re.match(r"\| ([DM][\d.]+) ", line)
        if match:
            found[match[1]] = [cell.strip() for cell in line.strip("|").split("|")]
    assert list(found) == ROWS
    for row, (_, state, works, where, _, test) in found.items():
        assert state in {"built", "in part", "not yet"}, row
        if state == "not yet":
            assert works + where + test == "", row
        else:
            assert PATH.search(where), row
            assert "::test_" in test, row


def test_decisions_are_numbered_and_have_a_status() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, path in enumerate(records, 1):
        text = path.read_text("utf-8")
        assert path.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        assert "\nStatus: " in text
