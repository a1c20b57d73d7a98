"""Keeping what doors accept: packed off the lock, many in one commit, told apart by the receipt key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

import msgspec
from sqlalchemy import Connection, exists, select

from desk.receive import Kept, Receipt
from kit.instants import to_micros
from store.bulk import Row, add_rows, is_among, write_rows
from store.compress import compress, decompress
from store.counters import reserve
from store.errors import Absent, Rejected
from store.tables.receipts import contents, receipts
from store.write import Writable

PART_BYTES = 1_048_576

_KEEP_CONTENT = "INSERT INTO contents (hash, part, bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_KEEP_RECEIPT = (
    "INSERT INTO receipts (id, source, format, key, received_at, envelope, content, size, state, attempts)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0) ON CONFLICT (key) DO NOTHING"
)


class Packed(NamedTuple):
    """A receipt as its rows will be: the body under its SHA-256, in compressed parts of 1 MiB.

    Beyond one part, `keep_parts` first, so that the lock is never held for long.
    """

    receipt: Receipt
    envelope: str
    content: bytes
    parts: tuple[bytes, ...]


class Bodied(Protocol):
    """Anything that names the body of a receipt."""

    @property
    def id(self) -> int:
        """The receipt."""

    @property
    def content(self) -> bytes:
        """SHA-256 of its body."""


def pack(receipt: Receipt) -> Packed:
    """Hash and compress, in a thread and before any lock."""
    body = memoryview(receipt.body)
    starts = range(0, len(body), PART_BYTES) or (0,)
    return Packed(
        receipt,
        msgspec.json.encode(receipt.envelope).decode(),
        hashlib.sha256(body).digest(),
        tuple(compress(body[start : start + PART_BYTES]) for start in starts),
    )


def keep_parts(store: Writable, packed: Packed) -> Packed:
    """Keep a body of several parts, each in a transaction of its own; what is left to keep with the receipt.

    Parts that no receipt followed are swept up by retention; the same body sent again uses them.
    """
    if len(packed.parts) == 1:
        return packed
    for row in _parts(packed):
        with store.writing() as connection:
            write_rows(connection, _KEEP_CONTENT, [row])
    return packed._replace(parts=())


def keep_receipts(connection: Connection, packed: Sequence[Packed]) -> list[Kept]:
    """Keep all of ``packed``, in order of arrival; a receipt whose key is there already gets the older one's id."""
    if not packed:
        return []
    ids = reserve(connection, "receipt", len(packed))
    add_rows(connection, _KEEP_CONTENT, sorted(row for one in packed for row in _parts(one)))
    rows = [_row(number, one) for number, one in zip(ids, packed, strict=True)]
    if connection.dialect.name != "sqlite":
        rows.sort(key=_by_key)
    kept = add_rows(connection, _KEEP_RECEIPT, rows)
    _check_parts(connection, packed)
    if kept == len(packed):
        return [Kept(number, repeated=False) for number in ids]
    return _answers(connection, ids, packed)


def _check_parts(connection: Connection, packed: Sequence[Packed]) -> None:
    """Bodies of several parts were kept before: they must be whole still, for retention may have swept them since."""
    for one in packed:
        if one.parts:
            continue
        parts = select(contents.c.part).where(contents.c.hash == one.content).with_for_update(read=True, key_share=True)
        if len(connection.execute(parts).all()) * PART_BYTES < len(one.receipt.body):
            raise Rejected("Parts of a body were swept up before their receipt came; it is to be sent again.")


def _answers(connection: Connection, ids: range, packed: Sequence[Packed]) -> list[Kept]:
    keys = {one.receipt.key for one in packed if one.receipt.key is not None}
    query = select(receipts.c.key, receipts.c.id).where(receipts.c.key.in_(keys))
    there = {row.key: row.id for row in connection.execute(query)}
    answers = []
    for number, one in zip(ids, packed, strict=True):
        first = number if one.receipt.key is None else there[one.receipt.key]
        answers.append(Kept(first, repeated=first != number))
    return answers


def find_receipt(connection: Connection, receipt: Receipt) -> int | None:
    """The id under which ``receipt`` is kept; for one without a key, by its bytes, source and instant."""
    query = select(receipts.c.id)
    if receipt.key is not None:
        query = query.where(receipts.c.key == receipt.key)
    else:
        query = query.where(
            receipts.c.content == hashlib.sha256(receipt.body).digest(), receipts.c.source == receipt.source,
            receipts.c.received_at == to_micros(receipt.received_at),
        )  # fmt: skip
    return connection.execute(query.limit(1)).scalar()


def has_body(connection: Connection, number: int) -> bool:
    """Whether a receipt's bytes are there still; retention deletes them after their time."""
    there = exists().where(contents.c.hash == receipts.c.content, contents.c.part == 0)
    return connection.execute(select(receipts.c.id).where(receipts.c.id == number, there)).first() is not None


def load_bodies(connection: Connection, wanted: Iterable[Bodied]) -> dict[int, bytes]:
    """The body of each receipt, by its id. Raises `Absent` where one is not complete."""
    wanted = list(wanted)
    parts: dict[bytes, list[bytes]] = {one.content: [] for one in wanted}
    query = select(contents.c.hash, contents.c.bytes).where(is_among(connection, contents.c.hash, parts.keys()))
    for digest, stored in connection.execute(query.order_by(contents.c.part)):
        parts[bytes(digest)].append(stored)
    return {one.id: _whole(one, parts[one.content]) for one in wanted}


def _whole(one: Bodied, parts: list[bytes]) -> bytes:
    with suppress(ValueError):
        body = b"".join(map(decompress, parts))
        if hashlib.sha256(body).digest() == one.content:
            return body
    raise Absent(f"The body of receipt {one.id} is not complete in the database; look at its backup.")


def _parts(packed: Packed) -> list[Row]:
    return [(packed.content, part, compressed) for part, compressed in enumerate(packed.parts)]


def _row(number: int, packed: Packed) -> Row:
    receipt = packed.receipt
    return (
        number, receipt.source, receipt.format, receipt.key, to_micros(receipt.received_at), packed.envelope,
        packed.content, len(receipt.body),
    )


def _by_key(row: Row) -> bytes:
    """Writers that take the same keys in the same order never wait for each other in a ring."""
    return row[3] or b""
