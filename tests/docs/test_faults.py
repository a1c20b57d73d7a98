"""Every fault that the desk must survive names tests that are there and that say so."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text("utf-8")
PROVED = [11, 20, *range(75, 83), *range(91, 113)]
_ROW = re.compile(r"^\| (\d+) (.*?) \| (.+?) \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_CITED = re.compile(r"\bfaults? (\d+(?:(?:, | and | to )\d+)*)", re.IGNORECASE)


def rows() -> Mapping[int, str]:
    """What each row names as its proof."""
    return {int(number): proof for number, _, _, proof in _ROW.findall(PAGE)}


def cites(path: Path, test: str) -> set[int]:
    """The faults that a test, or the file that it stands in, says that it proves."""
    tree = ast.parse(path.read_text("utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == test]
    words = f"{ast.get_docstring(tree)}\n{ast.get_docstring(found)}"
    return {int(number) for numbers in _CITED.findall(words) for number in re.findall(r"\d+", numbers)}


def test_every_fault_has_a_row_and_a_name_as_among_the_sources() -> None:
    assert list(rows()) == PROVED
    sources = (ROOT / "docs" / "sources.md").read_text("utf-8")
    known = dict(re.findall(r"^\| (\d+) \| (.+) \|$", sources, re.MULTILINE))
    assert set(map(str, PROVED)) <= set(known)


def test_every_row_is_proved_by_tests_that_cite_the_fault() -> None:
    for number, proof in rows().items():
        tests = _TEST.findall(proof)
        assert tests, number
        for path, test in tests:
            assert number in cites(ROOT / path, test), f"{number}: {path}::{test}"
