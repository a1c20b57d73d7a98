"""Text from outside, made safe: what may stand in a header, a title, a row of either database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.text import clean_text, header_text


@pytest.mark.parametrize("mark", ["\x1b", "\x07", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\u200f", "\u061c"])
def test_what_is_not_seen_but_acts_becomes_a_space(mark: str) -> None:
    """Escapes that move a terminal, line ends of any kind, marks that turn text around (findings 7 and 10)."""
    assert header_text(f"a{mark}b") == "a b"
    assert header_text(f"é{mark}b") == "é b"


@given(st.text(), st.integers(1, 50))
def test_a_line_is_one_line_of_text_that_can_be_stored(text: str, limit: int) -> None:
    line = header_text(text, limit)
    assert len(line) <= limit
    assert not any(one < " " or "\ud800" <= one <= "\udfff" for one in line)
    assert line.splitlines() in ([], [line])


@given(st.text(st.characters(codec=None), max_size=50))
def test_text_is_kept_but_for_what_no_database_takes(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode()
    assert "\x00" not in cleaned
    assert clean_text(cleaned) == cleaned
