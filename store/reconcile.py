"""Guarantee G4 proved from the rows: nothing that a door accepted was dropped, and nothing counts that never came.

Every receipt waits, is worked, in quarantine or discarded. A worked one says how many of its items became what; every
item has a signal but for those that only told again what was known, which are counted in their fold key. All checks
are single statements over whole tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, exists, func, or_, select, text

from incidents.timeline import EntryKind
from store.tables.incidents import incidents
from store.tables.instance import sweeps
from store.tables.receipts import receipts
from store.tables.signals import fold_keys, signals
from store.tables.timeline import timeline, timeline_values, tombstones

STATES = ("waiting", "worked", "quarantined", "discarded")
#: Differences that one check tells; it counts none beyond.
MOST = 20

_COUNTED = {
    "sqlite": "SELECT r.id AS receipt, e.key AS disposition, e.value AS items FROM receipts r, json_each(r.counts) e",
    "postgresql": (
        "SELECT r.id AS receipt, e.key AS disposition, e.value::bigint AS items"
        " FROM receipts r, jsonb_each_text(r.counts::jsonb) e"
    ),
}
#: What was discarded by hand never became a signal.
_UNEVEN = """
SELECT receipt, disposition, SUM(items) AS more FROM (
  {counted} WHERE e.key NOT IN ('repeated', 'discarded')
  UNION ALL SELECT receipt, disposition, -1 FROM signals
  UNION ALL SELECT id, 'spam', -1 FROM receipts WHERE state = 'discarded' AND counts NOT LIKE '%"discarded"%'
) AS items GROUP BY receipt, disposition HAVING SUM(items) <> 0 ORDER BY receipt LIMIT {most}
"""
_ITEMS = "SELECT disposition, SUM(items) FROM ({counted}) AS items GROUP BY disposition ORDER BY disposition"


class Difference(NamedTuple):
    """Two rows that do not fit together: the name of what is concerned, and a sentence."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was counted, and the first differences of each check."""

    receipts: Mapping[str, int]
    items: Mapping[str, int]
    signals: int
    incidents: int
    fold_keys: int
    differences: Sequence[Difference]


def reconcile(connection: Connection) -> Reconciled:
    """Count everything and compare."""
    states = connection.execute(select(receipts.c.state, func.count()).group_by(receipts.c.state)).all()
    items = connection.execute(text(_ITEMS.format(counted=_COUNTED[connection.dialect.name]))).all()
    dispositions = {str(name): int(count) for name, count in items}
    differences = [difference for check in _CHECKS for difference in check(connection)]
    return Reconciled(
        receipts=dict(sorted(states)),
        items=dispositions,
        signals=_count(connection, signals),
        incidents=_count(connection, incidents),
        fold_keys=_count(connection, fold_keys),
        differences=[*differences, *_more_repeats_than_keys_heard(connection, dispositions)],
    )


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


# ---------------------------------------------------------------------- receipts and their signals


def _out_of_place(connection: Connection) -> Iterable[Difference]:
    """Receipts that are in no state, or not as their state wants them."""
    wrong = or_(
        receipts.c.state.not_in(STATES),
        and_(receipts.c.state.in_(("worked", "discarded")), receipts.c.counts.is_(None)),
        and_(receipts.c.state == "quarantined", receipts.c.error.is_(None)),
        and_(receipts.c.state != "waiting", receipts.c.lease_owner.is_not(None)),
    )
    for row in _first(connection, select(receipts.c.id, receipts.c.state).where(wrong).order_by(receipts.c.id)):
        what = f"is {row.state} without what that needs: counts, an error, or an end to its lease"
        yield Difference(f"receipt:{row.id}", what)


def _uneven(connection: Connection) -> Iterable[Difference]:
    """Receipts whose items and signals do not match."""
    statement = _UNEVEN.format(counted=_COUNTED[connection.dialect.name], most=MOST)
    for receipt, disposition, more in connection.execute(text(statement)):
        what = f"counts {abs(more)} {'more' if more > 0 else 'fewer'} {disposition} than it has signals"
        yield Difference(f"receipt:{receipt}", what)


def _without_receipt(connection: Connection) -> Iterable[Difference]:
    query = select(signals.c.id, signals.c.receipt).where(~exists().where(receipts.c.id == signals.c.receipt))
    for row in _first(connection, query.order_by(signals.c.id)):
        yield Difference(f"signal {row.id}", f"names receipt {row.receipt}, which does not exist")


# ---------------------------------------------------------------------- what signals point at


def _without_incident(connection: Connection) -> Iterable[Difference]:
    """Signals that went to a record, which is not there and left no tombstone."""
    record = or_(
        exists().where(incidents.c.id == signals.c.incident), exists().where(tombstones.c.subject == signals.c.incident)
    )
    needs = signals.c.disposition.in_(("opened", "folded"))
    query = select(signals.c.id, signals.c.disposition).where(_lost(signals.c.incident, record, needs))
    for row in _first(connection, query.order_by(signals.c.id)):
        yield Difference(f"signal {row.id}", f"is {row.disposition}, and its incident does not exist")


def _duplicates_of_nothing(connection: Connection) -> Iterable[Difference]:
    first = signals.alias("first")
    there = exists().where(first.c.id == signals.c.repeats)
    needs = signals.c.disposition == "duplicate"
    query = select(signals.c.id).where(_lost(signals.c.repeats, there, needs))
    for row in _first(connection, query.order_by(signals.c.id)):
        yield Difference(f"signal {row.id}", "is a duplicate, and the first one does not exist")


def _opened_twice(connection: Connection) -> Iterable[Difference]:
    query = select(signals.c.incident, func.count().label("times")).where(signals.c.disposition == "opened")
    query = query.group_by(signals.c.incident).having(func.count() > 1)
    for row in _first(connection, query.order_by(signals.c.incident)):
        yield Difference(f"record {row.incident}", f"was opened by {row.times} signals")


def _keys_of_nothing(connection: Connection) -> Iterable[Difference]:
    record = exists().where(incidents.c.id == fold_keys.c.incident)
    query = select(fold_keys.c.key).where(fold_keys.c.incident.is_not(None), ~record)
    for row in _first(connection, query.order_by(fold_keys.c.key)):
        yield Difference(f"fold key {row.key}", "points at an incident that does not exist")


def _lost(column: ColumnElement[Any], there: ColumnElement[bool], needs: ColumnElement[bool]) -> ColumnElement[bool]:
    """A reference that leads nowhere, or is missing where one is needed."""
    return or_(and_(column.is_not(None), ~there), and_(column.is_(None), needs))


# ---------------------------------------------------------------------- incidents


def _opened_by_nothing(connection: Connection) -> Iterable[Difference]:
    """Records that no signal opened: only people open some by hand, and the desk for what it could not read."""
    signal = exists().where(signals.c.incident == incidents.c.id, signals.c.disposition == "opened")
    opened = and_(timeline.c.subject == incidents.c.id, timeline.c.seq == 1)
    said = and_(timeline_values.c.subject == incidents.c.id, timeline_values.c.seq == 1)
    query = (
        select(incidents.c.id, incidents.c.number, timeline.c.kind, timeline_values.c["values"].label("said"))
        .join_from(incidents, timeline, opened, isouter=True)
        .join(timeline_values, said, isouter=True)
        .where(~signal)
        .order_by(incidents.c.id)
    )
    told = 0
    for row in connection.execute(query):
        values = json.loads(row.said or "{}")
        by_hand = "receipt" not in values
        if row.kind == EntryKind.OPENED and (by_hand or "why" in values):
            continue
        told += 1
        if told <= MOST:
            yield Difference(f"INC-{row.number}", "was opened by no signal and by nobody")


def _more_repeats_than_keys_heard(connection: Connection, items: Mapping[str, int]) -> list[Difference]:
    """Repeats have no row; the keys, and those that retention deleted, have counted at least as many signals."""
    heard = int(connection.execute(
        select(func.coalesce(func.sum(fold_keys.c.signals), 0)).where(fold_keys.c.key.like("alert:%"))
    ).scalar_one())  # fmt: skip
    for counts in connection.execute(select(sweeps.c.counts)).scalars():
        heard += json.loads(counts).get("heard", 0)
    repeated = items.get("repeated", 0)
    if repeated <= heard:
        return []
    return [Difference("repeated", f"receipts count {repeated} repeats, and the fold keys have heard {heard} signals")]


def _first(connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
    return connection.execute(query.limit(MOST)).all()


_CHECKS: tuple[Callable[[Connection], Iterable[Difference]], ...] = (
    _out_of_place, _uneven, _without_receipt, _without_incident, _duplicates_of_nothing, _opened_twice,
    _keys_of_nothing, _opened_by_nothing,
)  # fmt: skip
