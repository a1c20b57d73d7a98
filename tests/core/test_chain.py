"""The chain: salted leaves, hashes in canonical form, values that can be forgotten. See 8-practice A.3."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from incidents.timeline import FIRST_PREV, Entry, EntryKind, canonical, checkpoint_hash, entry_hash, leaf_hash, seal

NOON = datetime(2026, 11, 23, 8, tzinfo=UTC)
text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_our_form_is_that_of_rfc_8785(value: Any) -> None:
    """A second implementation, from the package index, is the oracle."""
    assert canonical(value) == rfc8785.dumps(value)


def test_what_is_no_json_is_refused() -> None:
    """Fractions, which have a form that readers differ about, are refused by the type of a value."""
    with pytest.raises(TypeError):
        canonical(object())


def test_hashes_are_those_of_the_written_formula() -> None:
    """Made once more here, by the text of A.3 and nothing of ours."""
    entry = Entry(EntryKind.NOTE, 7, {"text": "hello"}, NOON)
    salts = b"\x01" * 16 + b"\x02" * 16
    sealed = seal(entry, subject=42, seq=1, prev=FIRST_PREV, recorded_at=NOON, random_bytes=lambda _size: salts)

    def sha(value: Any) -> str:
        return hashlib.sha256(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()

    leaves = [["text", sha(["01" * 16, "text", "hello"])], ["visibility", sha(["02" * 16, "visibility", "internal"])]]
    at = "2026-11-23T08:00:00.000000Z"
    assert sealed.hash.hex() == sha(["00" * 32, 42, 1, at, at, "note", 7, leaves])
    assert dict(leaves) == sealed.leaves


def test_a_forgotten_value_leaves_the_chain_whole() -> None:
    """The leaf stays, so the entry hash can be made without value and salt."""
    sealed = seal(
        Entry(EntryKind.NOTE, 7, {"text": "a name"}, NOON), subject=1, seq=1, prev=FIRST_PREV, recorded_at=NOON,
        random_bytes=lambda size: b"s" * size,
    )  # fmt: skip
    again = entry_hash(FIRST_PREV, 1, 1, NOON, NOON, "note", 7, sealed.leaves)
    assert again == sealed.hash
    assert leaf_hash(sealed.salts["text"], "text", "another") != sealed.leaves["text"]


def test_a_checkpoint_hashes_the_heads_onto_the_one_before() -> None:
    """Order and every head count."""
    heads = [(1, 3, b"a" * 32), (2, 1, b"b" * 32)]
    first = checkpoint_hash(FIRST_PREV, NOON, heads)
    assert first != checkpoint_hash(first, NOON, heads)
    assert first != checkpoint_hash(FIRST_PREV, NOON, heads[:1])
