"""The glossary has one meaning for each word, and the words that people meet."""

from __future__ import annotations

import re
from pathlib import Path

from incidents.incident import OPEN_STATES, Kind
from incidents.signal import Disposition

PAGE = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8")
WORDS = [word for line in re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)[1:] for word in line.split(", ")]


def test_no_word_has_two_meanings() -> None:
    assert sorted(WORDS) == sorted(set(WORDS))


def test_what_people_meet_is_explained() -> None:
    met = [*OPEN_STATES, "resolved", "closed", *Kind]
    words = {word.replace(" on ", " ").replace(" ", "_") for word in WORDS}
    assert [word for word in met if word not in words and word.replace("_", " ") not in WORDS] == []


def test_every_disposition_is_listed() -> None:
    (line,) = [one for one in PAGE.splitlines() if one.startswith("| disposition ")]
    assert set(re.findall(r"`([^`]+)`", line)[0].split()) == set(Disposition)
