"""Signals for people, the newest first; receipts that are not signals yet stand among them under their own name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select, text, union_all

from kit.instants import from_micros
from store.listing.incidents import make_ref
from store.listing.pages import Page, page_of, read_cursor
from store.rows import instant
from store.tables.incidents import incidents
from store.tables.receipts import receipts
from store.tables.signals import signals

#: Where a receipt stands among its own signals: before them.
_FIRST = 2**62
# Written as text: SQLite finds a partial index only by the very words that made it.
#: Receipts in these states have no signals that could stand for them, and where each state is found.
_UNWORKED = {
    "waiting": (
        "state = 'waiting' AND lease_owner IS NULL", "id IN (SELECT id FROM receipts WHERE lease_owner IS NOT NULL)",
    ),
    "quarantined": ("state = 'quarantined'",),
    "discarded": ("state = 'discarded'",),
}
#: What nearly all signals are needs no index: one of them is never far.
_COMMON = ("opened", "folded")
_RARE = text("disposition <> 'opened' AND disposition <> 'folded'")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which signals: by disposition, state of the queue, and incident (an id); None means any."""

    disposition: str | None = None
    state: str | None = None
    incident: int | None = None


@dataclass(frozen=True, slots=True)
class SignalLine:
    """A signal, or (``id`` None) a receipt that none was made of."""

    id: int | None
    receipt: int
    source: str
    received_at: datetime
    key: bytes | None
    status: str | None
    state: str
    disposition: str | None
    title: str | None
    incident: str | None
    reason: str | None = None
    repeats: int | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        """What commands call it."""
        return f"receipt:{self.receipt}" if self.id is None else str(self.id)


@dataclass(frozen=True, slots=True)
class ReceiptShown:
    """A receipt, without its body: how it came, where it stands, and how many signals became what."""

    id: int
    source: str
    format: str
    received_at: datetime
    envelope: Mapping[str, Any]
    content: bytes
    size: int
    state: str
    attempts: int
    counts: Mapping[str, int]
    error: str | None
    worked_at: datetime | None


def list_signals(connection: Connection, asked: Asked, *, limit: int, cursor: str | None = None) -> Page[SignalLine]:
    """One page of signals, the newest receipt first."""
    place = None if cursor is None else read_cursor(cursor, (int, int))
    lines = [_line(row) for row in connection.execute(_signals(asked, place).limit(limit + 1))]
    if asked.incident is None and asked.state != "worked":
        for query in _receipts(asked, place):
            lines += [_unworked(row) for row in connection.execute(query.limit(limit + 1))]
    lines.sort(key=_place, reverse=True)
    kept, after = page_of(lines, limit, _place)
    return Page(kept, after)


def show_signal(connection: Connection, number: int) -> SignalLine | None:
    """The signal of that id."""
    row = connection.execute(_joined().where(signals.c.id == number)).one_or_none()
    return None if row is None else _line(row)


def show_receipt(connection: Connection, number: int) -> ReceiptShown | None:
    """The receipt of that id."""
    row = connection.execute(select(receipts).where(receipts.c.id == number)).one_or_none()
    if row is None:
        return None
    return ReceiptShown(
        row.id, row.source, row.format, from_micros(row.received_at), json.loads(row.envelope), bytes(row.content),
        row.size, row.state, row.attempts, json.loads(row.counts or "{}"), row.error, instant(row.worked_at),
    )  # fmt: skip


def signals_of(connection: Connection, receipt: int) -> Sequence[SignalLine]:
    """The signals that a receipt holds, in order."""
    query = _joined().where(signals.c.receipt == receipt).order_by(signals.c.id)
    return [_line(row) for row in connection.execute(query)]


def _place(line: SignalLine) -> tuple[int, int]:
    return (line.receipt, _FIRST if line.id is None else line.id)


def _joined() -> Select[Any]:
    query = select(
        signals, receipts.c.state, incidents.c.kind.label("record_kind"), incidents.c.number.label("record_number")
    )
    query = query.join(receipts, receipts.c.id == signals.c.receipt, isouter=True)
    return query.join(incidents, incidents.c.id == signals.c.incident, isouter=True)


def _signals(asked: Asked, place: Sequence[int] | None) -> Select[Any]:
    query = _joined().order_by(signals.c.receipt.desc(), signals.c.id.desc())
    if asked.disposition is not None:
        query = query.where(signals.c.disposition == asked.disposition)
        if asked.disposition not in _COMMON:
            query = query.where(_RARE)
    if asked.state in _UNWORKED:
        few = [select(receipts.c.id).where(text(words)) for words in _UNWORKED[asked.state]]
        query = query.where(signals.c.receipt.in_(union_all(*few)))
    elif asked.state is not None:
        query = query.where(receipts.c.state == asked.state)
    if asked.incident is not None:
        query = query.where(signals.c.incident == asked.incident)
    if place is not None:
        before = or_(
            signals.c.receipt < place[0], and_(signals.c.receipt == place[0], signals.c.id < place[1])
        )
        query = query.where(before)
    return query


def _receipts(asked: Asked, place: Sequence[int] | None) -> Iterator[Select[Any]]:
    """Receipts that no signal stands for. One that was discarded counts as what its verdict says."""
    states = [state for state in _UNWORKED if asked.state in (None, state)]
    if asked.disposition is not None:
        states = [state for state in states if state == "discarded"]
    for words in (words for state in states for words in _UNWORKED[state]):
        query = select(receipts).where(text(words)).order_by(receipts.c.id.desc())
        if asked.disposition is not None:
            query = query.where(_counts(asked.disposition))
        yield query if place is None else query.where(receipts.c.id < place[0])


def _counts(disposition: str) -> ColumnElement[bool]:
    return receipts.c.counts.contains(f'"{disposition}"', autoescape=True)


def _line(row: Row[Any]) -> SignalLine:
    ref = None if row.record_number is None else make_ref(row.record_kind, row.record_number)
    return SignalLine(
        row.id, row.receipt, row.source, from_micros(row.received_at), None if row.key is None else bytes(row.key),
        row.status, row.state or "worked", row.disposition, row.title, ref, row.reason, row.repeats,
    )  # fmt: skip


def _unworked(row: Row[Any]) -> SignalLine:
    verdict = next(iter(json.loads(row.counts or "{}")), None) if row.state == "discarded" else None
    return SignalLine(
        None, row.id, row.source, from_micros(row.received_at), None if row.key is None else bytes(row.key),
        None, row.state, verdict, None, None, error=row.error,
    )  # fmt: skip
