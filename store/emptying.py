"""Raw bytes that nobody needs any more: found by one look at all receipts, deleted part by part.

One content may belong to many receipts, and a door keeps the bytes of a body that is there already only once. So
before each deletion, with the doors kept out, the newest receipts are looked at again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, not_, or_, select

from kit.instants import to_micros
from store.bulk import write_rows
from store.tables.incidents import incidents
from store.tables.receipts import contents, receipts
from store.tables.signals import signals

#: Contents looked at in one piece, so that the database can tell them apart in little memory.
_A_PIECE = 500_000
#: On PostgreSQL a door's transaction that took its numbers before may commit later; beyond a minute the server ends it.
_MARGIN = timedelta(minutes=2)
_DROP = "DELETE FROM contents WHERE hash = ? AND part = ?"


class Part(NamedTuple):
    """One part of a content, and its size in bytes."""

    hash: bytes
    part: int
    size: int


class Past(NamedTuple):
    """From before when raw bytes are past their class: of any receipt, and of one that only repeated."""

    content: datetime
    repeated: datetime


def pieces(connection: Connection) -> Iterator[tuple[bytes, bytes | None]]:
    """Ranges of hashes that together are all: where each begins, and where it ends."""
    count = connection.execute(select(func.count()).select_from(contents)).scalar_one()
    pieces = min(1 + count // _A_PIECE, 256)
    bounds = [number * 256 // pieces for number in range(pieces)]
    for begins, ends in zip(bounds, [*bounds[1:], None], strict=True):
        yield bytes([begins]), None if ends is None else bytes([ends])


def find_unneeded(connection: Connection, piece: tuple[bytes, bytes | None], past: Past) -> list[Part]:
    """Parts of contents that no receipt needs any more, or that no receipt ever followed."""
    all_of_them = select(contents.c.hash).where(_within(contents.c.hash, piece))
    needed = select(receipts.c.content).where(_within(receipts.c.content, piece), not_(is_past(past)))
    query = select(contents.c.hash, contents.c.part, func.length(contents.c.bytes))
    query = query.where(contents.c.hash.in_(all_of_them.except_(needed)))
    if connection.dialect.name == "sqlite":  # neighbours in the file go together, with fewer pages to write
        query = query.order_by(literal_column("contents.rowid"))
    return [Part(bytes(row[0]), row[1], row[2]) for row in connection.execute(query)]


def is_past(past: Past) -> ColumnElement[bool]:
    """Whether a receipt needs its bytes no more: never while it waits, or while a record of it is under hold."""
    held = select(signals.c.receipt).join(incidents, incidents.c.id == signals.c.incident)
    counts = func.coalesce(receipts.c.counts, "")
    only_repeated = and_(counts.like('{"repeated": %'), counts.not_like("%,%"))
    return and_(
        receipts.c.state != "waiting",
        or_(
            receipts.c.received_at < to_micros(past.content),
            and_(receipts.c.state == "worked", only_repeated, receipts.c.received_at < to_micros(past.repeated)),
        ),
        receipts.c.id.not_in(held.where(incidents.c.hold_count > 0)),
    )


def newest_seen(connection: Connection, now: datetime) -> int:
    """The receipt after which the bytes of others may be wanted again by now."""
    query = select(receipts.c.id).order_by(receipts.c.id.desc()).limit(1)
    if connection.dialect.name == "postgresql":
        query = query.where(receipts.c.received_at < to_micros(now - _MARGIN))
    return connection.execute(query).scalar() or 0


def drop_parts(connection: Connection, parts: Sequence[Part], *, seen: int) -> int:
    """Delete parts, but for those that a receipt after ``seen`` wants; how many went."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE contents IN EXCLUSIVE MODE")  # waits for doors in the middle of a commit
    wanted = select(receipts.c.content).where(
        receipts.c.id > seen, receipts.c.content.in_({part.hash for part in parts})
    )
    again = {bytes(digest) for digest in connection.execute(wanted).scalars()}
    gone = [(part.hash, part.part) for part in parts if part.hash not in again]
    return write_rows(connection, _DROP, gone)


def _within(column: ColumnElement[bytes], piece: tuple[bytes, bytes | None]) -> ColumnElement[bool]:
    begins, ends = piece
    return column >= begins if ends is None else and_(column >= begins, column < ends)
