"""Tokens: good for one purpose, until their hour, and in nobody's words but ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.tokens import Keyring, Purpose, Token

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
KEYRING = Keyring({1: b"k" * 32, 2: b"n" * 32}, 2)


@given(st.integers(0, 2**40 - 1), st.integers(0, 2**32 - 1), st.sampled_from(Purpose), st.integers(0, 255))
def test_a_token_says_what_was_signed(record: int, person: int, purpose: Purpose, tag: int) -> None:
    token = Token(purpose, record, person, None, tag)
    assert KEYRING.verify(KEYRING.sign(token), purpose, NOON) == token


@pytest.mark.parametrize(("at", "good"), [(NOON - MICRO, True), (NOON, False)])
def test_a_token_ends_at_its_instant(at: datetime, good: bool) -> None:  # noqa: FBT001 - a table's column
    text = KEYRING.sign(Token(Purpose.ACKNOWLEDGE, 1, 2, NOON))
    assert (KEYRING.verify(text, Purpose.ACKNOWLEDGE, at) is not None) == good


def test_an_instant_within_an_hour_is_good_until_the_hour_is_full() -> None:
    """Whole hours are kept, and nobody's link ends before it was promised to."""
    verified = KEYRING.verify(KEYRING.sign(Token(Purpose.FORM, 1, 2, NOON + MICRO)), Purpose.FORM, NOON)
    assert verified is not None
    assert verified.expires_at == NOON + timedelta(hours=1)


@given(st.integers(0, 39), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_character_is_no_token(place: int, letter: str) -> None:
    text = KEYRING.sign(Token(Purpose.REPLY, 1, 2))
    changed = text[:place] + letter + text[place + 1 :]
    assert changed == text or KEYRING.verify(changed, Purpose.REPLY, NOON) is None


def test_an_older_key_still_verifies_and_a_removed_one_does_not() -> None:
    old = Keyring({1: b"k" * 32}, 1).sign(Token(Purpose.REPLY, 1, 2))
    assert KEYRING.verify(old, Purpose.REPLY, NOON) is not None
    assert Keyring({2: b"n" * 32}, 2).verify(old, Purpose.REPLY, NOON) is None
