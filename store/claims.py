"""Leases on rows that wait for a turn: who has a row, until when, and what a turn that never ended leaves behind.

A claim takes rows that nobody has had yet. A row whose lease ended without a verdict is a suspect: it may have killed
its worker, so it is taken alone, and only such takes are counted; the innocents of a killed batch are not. Verdicts
are fenced: they count only while the row is still leased to the owner. Owners are named afresh at every start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    exists,
    literal_column,
    or_,
    select,
    update,
)

from incidents.effects import OutboxState
from kit.instants import from_micros, to_micros
from kit.text import clean_text
from store.bulk import update_rows
from store.errors import LeaseLost
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.targets import targets

_LEASED = (receipts, targets, outbox)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A receipt taken for a turn. ``attempts`` counts the takes of it alone, this one included; 0 in a batch.

    ``counts`` says what earlier turns made of the first items of a body that is too long for one turn.
    """

    id: int
    source: str
    format: str
    key: bytes | None
    received_at: datetime
    envelope: Mapping[str, Any]
    content: bytes
    size: int
    attempts: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Lease:
    """Who claims, now, and for how long."""

    owner: str
    now: datetime
    length: timedelta


def claim_receipts(connection: Connection, lease: Lease, limit: int) -> list[Claimed]:
    """One suspect alone, else up to ``limit`` fresh receipts, by order of arrival."""
    rows = _claim(connection, receipts, lease=lease, limit=limit)
    return sorted((_claimed(*row) for row in rows), key=attrgetter("id"))


def _claimed(*row: Any) -> Claimed:
    number, source, form, key, received_at, envelope, content, size, attempts, counts = row
    envelope = msgspec.json.decode(envelope)
    counts = msgspec.json.decode(counts) if counts else {}
    return Claimed(number, source, form, key, from_micros(received_at), envelope, content, size, attempts, counts)


def claim_targets(connection: Connection, lease: Lease, limit: int) -> list[Row[Any]]:
    """Targets whose timer is due, the longest overdue first."""
    rows = _claim(connection, targets, lease=lease, limit=limit)
    return sorted(rows, key=attrgetter("next_at", "id"))


def claim_outbox(connection: Connection, lease: Lease, *, state: str, limit: int) -> list[Row[Any]]:
    """Rows of the outbox in ``state`` that are due, critical ones first."""
    rows = _claim(connection, outbox, lease=lease, limit=limit, in_state=state)
    return sorted(rows, key=attrgetter("rank", "next_at", "id"))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What makes a row of a table due, in which order, and what a claim tells of it."""

    due: ColumnElement[bool]
    order: tuple[Column[Any], ...]
    told: tuple[Column[Any], ...]


_NOW = bindparam("now", type_=BigInteger)
_SHAPES = {
    receipts: _Shape(
        receipts.c.state == literal_column("'waiting'"),  # spelled out, as the partial index spells it
        (receipts.c.id,),
        tuple(receipts.c[field.name] for field in fields(Claimed)),
    ),
    targets: _Shape(
        and_(targets.c.next_at.is_not(None), targets.c.next_at <= _NOW),
        (targets.c.next_at, targets.c.id),
        tuple(targets.c),
    ),
    outbox: _Shape(
        and_(outbox.c.state == bindparam("in_state"), outbox.c.next_at.is_not(None), outbox.c.next_at <= _NOW),
        (outbox.c.rank, outbox.c.next_at, outbox.c.id),
        tuple(outbox.c),
    ),
}


def _claim(
    connection: Connection, table: Table, *, lease: Lease, limit: int, **more: str
) -> Sequence[Row[Any]]:
    """Lease one suspect, else fresh rows."""
    given = {
        "owner": lease.owner, "now": to_micros(lease.now), "until": to_micros(lease.now + lease.length),
        "limit": limit, **more,
    }
    return connection.execute(_suspect(table), given).all() or connection.execute(_fresh(table), given).all()


class Waiting(NamedTuple):
    """Whether anything waits for a turn now, for its timer, or to be composed; leased or not."""

    receipts: bool
    targets: bool
    outbox: bool


def _any_due(table: Table) -> ColumnElement[bool]:
    """Whether a row is due; asked for free and for leased ones apart, along the index of either."""
    owner, due = table.c.lease_owner, _SHAPES[table].due
    return or_(exists().where(due, owner.is_(None)), exists().where(due, owner.is_not(None)))


_WAITING = select(*map(_any_due, (receipts, targets, outbox)))


def load_waiting(connection: Connection, now: datetime) -> Waiting:
    """What there may be to claim, without a lock."""
    found = connection.execute(_WAITING, {"now": to_micros(now), "in_state": OutboxState.WAITING}).one()
    return Waiting(*map(bool, found))


@cache
def _suspect(table: Table) -> Executable:
    """Take the row whose lease has been over the longest, and count the take where the table counts."""
    lost = and_(table.c.lease_owner.is_not(None), table.c.lease_until <= _NOW)
    wanted = select(table.c.id).where(_SHAPES[table].due, lost).order_by(table.c.lease_until, table.c.id).limit(1)
    counted = {"attempts": table.c.attempts + 1} if "attempts" in table.c else {}
    return _take(table, wanted, **counted)


@cache
def _fresh(table: Table) -> Executable:
    """Take rows that nobody has had since they last settled."""
    shape = _SHAPES[table]
    wanted = select(table.c.id).where(shape.due, table.c.lease_owner.is_(None)).order_by(*shape.order)
    return _take(table, wanted.limit(bindparam("limit")))


def _take(table: Table, wanted: Select[Any], **more: ColumnElement[int]) -> Executable:
    ids = wanted.with_for_update(skip_locked=True).scalar_subquery()
    change = update(table).where(table.c.id.in_(ids))
    return change.values(lease_owner=bindparam("owner"), lease_until=bindparam("until"), **more).returning(
        *_SHAPES[table].told
    )


def extend_leases(connection: Connection, lease: Lease) -> None:
    """Keep everything that the owner has for another length, from now."""
    _set_leases(connection, lease.owner, lease.now + lease.length)


def release(connection: Connection, owner: str, now: datetime) -> None:
    """Put back everything that a dead owner had; it becomes suspect, for nobody knows what killed the owner."""
    _set_leases(connection, owner, now)


def load_owners(connection: Connection, now: datetime) -> set[str]:
    """Who has anything now."""
    owners: set[str] = set()
    for table in _LEASED:
        leased = and_(table.c.lease_owner.is_not(None), table.c.lease_until > to_micros(now))
        owners.update(connection.execute(select(table.c.lease_owner).where(leased).distinct()).scalars())
    return owners


def load_held(connection: Connection, owner: str, ids: Iterable[int]) -> set[int]:
    """Which of these rows of the outbox the owner still has, whatever the time."""
    held = select(outbox.c.id).where(outbox.c.id.in_(list(ids)), outbox.c.lease_owner == owner)
    return set(connection.execute(held).scalars())


def release_all(connection: Connection, now: datetime) -> None:
    """Put back everything that anybody had: for the one daemon of a file, before it begins."""
    for table in _LEASED:
        leased = update(table).where(table.c.lease_owner.is_not(None))
        connection.execute(leased.values(lease_until=to_micros(now)))


def _set_leases(connection: Connection, owner: str, until: datetime) -> None:
    for table in _LEASED:
        connection.execute(update(table).where(table.c.lease_owner == owner).values(lease_until=to_micros(until)))


def finish_receipts(
    connection: Connection, owner: str, *, counts: Mapping[int, Mapping[str, int]], now: datetime
) -> None:
    """Receipts are worked: ``counts`` says by id how many signals ended in which disposition. Raises `LeaseLost`."""
    worked_at = to_micros(now)
    rows = [
        (number, owner, None, None, "worked", json.dumps(dict(by_disposition)), worked_at)
        for number, by_disposition in counts.items()
    ]
    assign = ("lease_owner", "lease_until", "state", "counts", "worked_at")
    _fenced(update_rows(connection, receipts, rows=rows, match=("id", "lease_owner"), assign=assign), len(rows))


def record_progress(connection: Connection, owner: str, *, counts: Mapping[int, Mapping[str, int]]) -> None:
    """Remember how far a turn got with receipts that need more than one. Raises `LeaseLost`."""
    rows = [(number, owner, json.dumps(dict(by_disposition))) for number, by_disposition in counts.items()]
    _fenced(update_rows(connection, receipts, rows=rows, match=("id", "lease_owner"), assign=("counts",)), len(rows))


def put_back(connection: Connection, owner: str, ids: Iterable[int], *, now: datetime) -> None:
    """Give back what the owner still has of a failed turn; each receipt is taken alone next."""
    rows = [(number, owner, to_micros(now)) for number in ids]
    update_rows(connection, receipts, rows=rows, match=("id", "lease_owner"), assign=("lease_until",))


def unclaim_receipts(connection: Connection, owner: str, ids: Iterable[int]) -> None:
    """Give back what a turn could not even begin with, as if it had never been claimed."""
    rows = [(number, owner, None, None) for number in ids]
    update_rows(connection, receipts, rows=rows, match=("id", "lease_owner"), assign=("lease_owner", "lease_until"))


def quarantine_receipts(
    connection: Connection, owner: str, *, errors: Mapping[int, str], now: datetime
) -> None:
    """Receipts can't be worked: ``errors`` says by id why. Raises `LeaseLost`."""
    rows = [
        (number, owner, None, None, "quarantined", clean_text(error, 1000), to_micros(now))
        for number, error in errors.items()
    ]
    assign = ("lease_owner", "lease_until", "state", "error", "worked_at")
    _fenced(update_rows(connection, receipts, rows=rows, match=("id", "lease_owner"), assign=assign), len(rows))


def settle_targets(connection: Connection, owner: str, ids: Iterable[int]) -> None:
    """Give up the lease of targets that a turn has decided, in its commit. Raises `LeaseLost`."""
    _settle(connection, targets, owner, ids)


def defer_target(connection: Connection, owner: str, number: int, next_at: datetime) -> None:
    """Look again later at a target that could not be decided."""
    rows = [(number, owner, None, None, to_micros(next_at))]
    update_rows(
        connection, targets, rows=rows, match=("id", "lease_owner"), assign=("lease_owner", "lease_until", "next_at")
    )


def settle_outbox(connection: Connection, owner: str, ids: Iterable[int]) -> None:
    """Give up the lease of rows of the outbox that are composed or handed over. Raises `LeaseLost`."""
    _settle(connection, outbox, owner, ids)


def _settle(connection: Connection, table: Table, owner: str, ids: Iterable[int]) -> None:
    rows = [(number, owner, None, None) for number in ids]
    assign = ("lease_owner", "lease_until")
    _fenced(update_rows(connection, table, rows=rows, match=("id", "lease_owner"), assign=assign), len(rows))


def _fenced(found: int, wanted: int) -> None:
    if found != wanted:
        raise LeaseLost
