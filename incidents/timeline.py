"""The timeline: append-only entries, each a list of salted leaves, hash-chained per record.

A leaf's value can be forgotten (with its salt) and the chain still verifies; see ``docs/architecture.md``, Chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from kit.canonical import canonical
from kit.instants import stamp

FIRST_PREV = b"\x00" * 32
SALT_BYTES = 16


class EntryKind(StrEnum):
    """What an entry says happened."""

    OPENED = "opened"
    FOLDED = "folded"
    MESSAGE_IN = "message_in"
    MESSAGE_OUT = "message_out"
    NOTE = "note"
    ACKNOWLEDGED = "acknowledged"
    CHANGED = "changed"
    MOVED = "moved"
    REOPENED = "reopened"
    MERGED = "merged"
    ESCALATED = "escalated"
    TARGET = "target"
    DELIVERY = "delivery"
    CORRECTION = "correction"


class Entry(NamedTuple):
    """What one entry will say. ``values`` hold text, whole numbers, booleans, None, lists and objects of these."""

    kind: EntryKind
    author: int
    values: Mapping[str, Any]
    occurred_at: datetime
    visibility: str = "internal"  # internal or public: whether the requester may read it


class Sealed(NamedTuple):
    """An entry as it is stored: its place, its leaves (by name, hex), its hash; values and salts apart."""

    subject: int
    seq: int
    occurred_at: datetime
    recorded_at: datetime
    kind: str
    author: int
    leaves: Mapping[str, str]
    hash: bytes
    values: Mapping[str, Any]
    salts: Mapping[str, str]


def leaf_hash(salt: str, name: str, value: Any) -> str:
    """SHA-256 of the canonical ``[salt, name, value]``, in hex; ``salt`` is 32 hex digits."""
    text = f'["{salt}",{encode_basestring(name)},{canonical(value)}]'
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def entry_hash(  # noqa: PLR0917 - the fields of the formula, in its order
    prev: bytes, subject: int, seq: int, occurred_at: datetime, recorded_at: datetime, kind: str, author: int,
    leaves: Mapping[str, str],
) -> bytes:
    """SHA-256 of the canonical ``[prev, record id, seq, occurred_at, recorded_at, kind, author, [[name, leaf]]]``."""
    listed = ",".join([f"[{encode_basestring(name)},{encode_basestring(leaves[name])}]" for name in sorted(leaves)])
    text = (
        f'["{prev.hex()}",{subject},{seq},"{stamp(occurred_at)}","{stamp(recorded_at)}",'
        f"{encode_basestring(kind)},{author},[{listed}]]"
    )
    return sha256(text.encode()).digest()


def seal(
    entry: Entry, *, subject: int, seq: int, prev: bytes, recorded_at: datetime, salt: Callable[[], bytes]
) -> Sealed:
    """Give an entry its place in the chain. ``salt`` gives 16 fresh random bytes at each call."""
    values = {**entry.values, "visibility": entry.visibility}
    salts: dict[str, str] = {}
    leaves: dict[str, str] = {}
    for name, value in values.items():
        salts[name] = drawn = salt().hex()
        leaves[name] = leaf_hash(drawn, name, value)
    digest = entry_hash(prev, subject, seq, entry.occurred_at, recorded_at, entry.kind, entry.author, leaves)
    return Sealed(
        subject, seq, entry.occurred_at, recorded_at, entry.kind.value, entry.author, leaves, digest, values, salts
    )


def checkpoint_hash(previous: bytes, at: datetime, heads: list[tuple[int, int, bytes]]) -> bytes:
    """SHA-256 of the canonical ``[previous, at, [[record id, seq, head hash]]]``; heads in id order."""
    body = [previous.hex(), stamp(at), [[subject, seq, head.hex()] for subject, seq, head in heads]]
    return sha256(canonical(body).encode()).digest()
