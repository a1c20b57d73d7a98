"""The timeline: append-only entries, each a list of salted leaves, hash-chained per record.

A leaf's value can be forgotten (with its salt) and the chain still verifies; see ``docs/architecture.md``, Chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

import msgspec

from kit.instants import stamp

FIRST_PREV = b"\x00" * 32
SALT_BYTES = 16

#: What a field of an entry may hold. No fractions: their canonical form is the one hard part of rfc8785.
Value: TypeAlias = str | int | bool | Sequence["Value"] | Mapping[str, "Value"] | None
Values: TypeAlias = dict[str, Value]

_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_encode_as_is = msgspec.json.Encoder().encode


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


class Entry(NamedTuple):
    """What one entry will say."""

    kind: EntryKind
    author: int
    values: Mapping[str, Value]
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
    values: Mapping[str, Value]
    salts: Mapping[str, str]


def canonical(value: Any) -> bytes:
    """The one written form of ``value``, see rfc8785; the library differs only in the order of keys beyond ASCII.

    >>> canonical({"b": [1, True, None], "a": "é"}).decode()
    '{"a":"é","b":[1,true,null]}'
    """
    written = _encode_sorted(value)
    return written if written.isascii() else _encode_as_is(_in_order(value))


def _in_order(value: Any) -> Any:
    """The same with its keys in the order of their UTF-16 code units, see rfc8785 3.2.3."""
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, list | tuple):
        return [_in_order(item) for item in value]
    return value


def leaf_hash(salt: str, name: str, value: Value) -> str:
    """SHA-256 of the canonical ``[salt, name, value]``, in hex; ``salt`` is 32 hex digits."""
    return sha256(canonical((salt, name, value))).hexdigest()


def entry_hash(  # noqa: PLR0917 - the fields of the formula, in its order
    prev: bytes, subject: int, seq: int, occurred_at: datetime, recorded_at: datetime, kind: str, author: int,
    leaves: Mapping[str, str],
) -> bytes:
    """SHA-256 of the canonical ``[prev, record id, seq, occurred_at, recorded_at, kind, author, [[name, leaf]]]``."""
    listed = sorted(leaves.items())
    said = (prev.hex(), subject, seq, stamp(occurred_at), stamp(recorded_at), kind, author, listed)
    return sha256(canonical(said)).digest()


def seal(
    entry: Entry, *, subject: int, seq: int, prev: bytes, recorded_at: datetime, random_bytes: Callable[[int], bytes]
) -> Sealed:
    """Give an entry its place in the chain. ``random_bytes`` draws the salts."""
    values = {**entry.values, "visibility": entry.visibility}
    drawn = random_bytes(SALT_BYTES * len(values)).hex()
    digits = 2 * SALT_BYTES
    salts = {name: drawn[digits * place : digits * (place + 1)] for place, name in enumerate(values)}
    leaves = {name: leaf_hash(salts[name], name, value) for name, value in values.items()}
    digest = entry_hash(prev, subject, seq, entry.occurred_at, recorded_at, entry.kind, entry.author, leaves)
    return Sealed(
        subject, seq, entry.occurred_at, recorded_at, entry.kind.value, entry.author, leaves, digest, values, salts
    )


def checkpoint_hash(previous: bytes, at: datetime, heads: list[tuple[int, int, bytes]]) -> bytes:
    """SHA-256 of the canonical ``[previous, at, [[record id, seq, head hash]]]``; heads in id order."""
    body = [previous.hex(), stamp(at), [[subject, seq, head.hex()] for subject, seq, head in heads]]
    return sha256(canonical(body)).digest()
