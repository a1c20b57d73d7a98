"""Every standard, behaviour and fault that the code cites is explained in docs/sources.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("console", "daemon", "desk", "incidents", "ingest", "kit", "notifiers", "rules", "store", "tests", "triage")
PAGE = (ROOT / "docs" / "sources.md").read_text("utf-8")
KEYS = frozenset(re.findall(r"^\| (\w+) \|", PAGE, re.MULTILINE))
FAULTS = re.compile(r"\bfaults? (\d+(?:(?:, | and | to )\d+)*)", re.IGNORECASE)


def comments_and_docstrings() -> Iterator[tuple[Path, str]]:
    """The code that may cite, file by file; this test's own words are no citations."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if path != Path(__file__):
                yield path, path.read_text("utf-8")


def cited(text: str) -> Iterator[str]:
    """The keys that a text cites.

    The word before an address in a delivery report (``rfc822; ann@example.com``) cites nothing.

    >>> sorted(cited("see rfc5321 4.2, A19, B3; faults 76 and 79; rfc822; ann@example.com"))
    ['76', '79', 'A19', 'B3', 'rfc5321']
    """
    for number in re.findall(r"(?<!/)\brfc ?(?!822\b)(\d+)", text, re.IGNORECASE):
        yield f"rfc{number}"
    yield from re.findall(r"(?<![-\w#&;.\\])([AB][1-9]\d?)\b(?![-.'\"\w])", text)
    for numbers in FAULTS.findall(text):
        yield from re.findall(r"\d+", numbers)


@pytest.mark.parametrize("room", ROOMS)
def test_what_the_code_cites_is_explained(room: str) -> None:
    missing = {
        f"{path.relative_to(ROOT)}: {key}"
        for path, text in comments_and_docstrings()
        if path.is_relative_to(ROOT / room)
        for key in cited(text)
        if key not in KEYS
    }
    assert missing == set()


def test_the_test_finds_citations() -> None:
    """It can fail: the rooms cite, and an unknown key is not on the page."""
    found = {key for _, text in comments_and_docstrings() for key in cited(text)}
    assert {"rfc5321", "A19", "B3", "24"} <= found
    assert not {"rfc1", "A99", "B9", "999"} & KEYS


def test_standards_are_cited_in_one_form() -> None:
    """`see rfc5321 4.5.3.2`: so that one search finds them."""
    for path, text in comments_and_docstrings():
        for word in re.findall(r"#[^\"\n]*\bsee (rfc[ _-]?\d+)", text, re.IGNORECASE):
            assert re.fullmatch(r"rfc\d+", word), f"{path}: {word}"
