"""Leases on rows that wait for a turn: who has a row, until when, and what a turn that never ended leaves behind.

A claim takes rows that nobody has had yet. A row whose lease ended without a verdict is a suspect: it may have killed
its worker, so it is taken alone, and only such takes are counted; the innocents of a killed batch are not. Verdicts
are fenced: they count only while the row is still leased to the owner. Owners are named afresh at every start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Table, and_, literal_column, select, update

from kit.instants import from_micros, to_micros
from kit.text import clean_text
from store.bulk import update_rows
from store.errors import LeaseLost
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.targets import targets

_LEASED = (receipts, targets, outbox)
_WAITING = receipts.c.state == literal_column("'waiting'")  # spelled out, as the partial index spells it


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
    rows = _claim(connection, receipts, due=_WAITING, order=(receipts.c.id,), lease=lease, limit=limit)
    return [
        Claimed(
            row.id, row.source, row.format, row.key, from_micros(row.received_at), json.loads(row.envelope),
            row.content, row.size, row.attempts, json.loads(row.counts or "{}"),
        )
        for row in sorted(rows, key=_by_id)
    ]


def claim_targets(connection: Connection, lease: Lease, limit: int) -> list[Row[Any]]:
    """Targets whose timer is due, the longest overdue first."""
    due = _due(targets.c.next_at, lease.now)
    rows = _claim(connection, targets, due=due, order=(targets.c.next_at, targets.c.id), lease=lease, limit=limit)
    return sorted(rows, key=lambda row: (row.next_at, row.id))


def claim_outbox(connection: Connection, lease: Lease, *, state: str, limit: int) -> list[Row[Any]]:
    """Rows of the outbox in ``state`` that are due, critical ones first."""
    due = and_(outbox.c.state == state, _due(outbox.c.next_at, lease.now))
    order = (outbox.c.rank, outbox.c.next_at, outbox.c.id)
    rows = _claim(connection, outbox, due=due, order=order, lease=lease, limit=limit)
    return sorted(rows, key=lambda row: (row.rank, row.next_at, row.id))


def _due(next_at: Column[int], now: datetime) -> ColumnElement[bool]:
    return and_(next_at.is_not(None), next_at <= to_micros(now))


def _by_id(row: Row[Any]) -> int:
    return int(row.id)


def _claim(
    connection: Connection,
    table: Table,
    *,
    due: ColumnElement[bool],
    order: tuple[Column[int], ...],
    lease: Lease,
    limit: int,
) -> Sequence[Row[Any]]:
    """Lease one suspect, else fresh rows."""
    lost = and_(due, table.c.lease_owner.is_not(None), table.c.lease_until <= to_micros(lease.now))
    counted = {"attempts": table.c.attempts + 1} if "attempts" in table.c else {}
    suspect = select(table.c.id).where(lost).order_by(table.c.lease_until, table.c.id).limit(1)
    fresh = select(table.c.id).where(due, table.c.lease_owner.is_(None)).order_by(*order).limit(limit)
    for wanted, change in ((suspect, counted), (fresh, {})):
        values = {"lease_owner": lease.owner, "lease_until": to_micros(lease.now + lease.length), **change}
        ids = wanted.with_for_update(skip_locked=True).scalar_subquery()
        rows = connection.execute(update(table).where(table.c.id.in_(ids)).values(values).returning(*table.c)).all()
        if rows:
            return rows
    return []


def extend_leases(connection: Connection, lease: Lease) -> None:
    """Keep everything that the owner has for another length, from now."""
    _set_leases(connection, lease.owner, lease.now + lease.length)


def release(connection: Connection, owner: str, now: datetime) -> None:
    """Put back everything that a dead owner had; it becomes suspect, for nobody knows what killed the owner."""
    _set_leases(connection, owner, now)


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
