"""Burying a record: everything of it is deleted, and a tombstone tells that its chain was, and where it ended.

A record may have a hundred thousand rows, so it goes in steps. First its fold keys, as long as it is closed; then the
record itself, with the tombstone in the same commit; then what hung off it; its chain last, from the end. So a proof
between two steps holds, and what a kill leaves is found by the tombstone of a chain that is still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, tuple_, update

from kit.instants import to_micros
from store.bulk import insert_rows
from store.tables.incidents import assessments, incidents
from store.tables.links import links
from store.tables.outbox import deliveries, outbox
from store.tables.people import participants
from store.tables.signals import fold_keys, signals
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values, tombstones


class Step(NamedTuple):
    """What one step deleted, in rows by kind, and whether it was the last."""

    counts: Counter[str]
    last: bool


def bury(connection: Connection, record: int, *, rule: str, now: datetime, most: int) -> Step:
    """Begin with a record that is past its class: at most ``most`` rows of it, and a few.

    ``heard`` is how many signals of monitors the fold keys had counted that go with it.
    """
    keys = _keys_of(connection, record, most)
    if len(keys) == most:
        return Step(_forget(connection, keys), last=False)
    row = connection.execute(select(incidents.c.head_seq, incidents.c.head_hash).where(incidents.c.id == record)).one()
    insert_rows(connection, tombstones, [(record, row.head_seq, bytes(row.head_hash), rule, to_micros(now))])
    counts = _forget(connection, keys)
    counts["incidents"] = _delete(connection, incidents, incidents.c.id == record)
    step = clear(connection, record, most=most - len(keys))
    return Step(counts + step.counts, step.last)


def clear(connection: Connection, record: int, *, most: int) -> Step:
    """Go on with a record that has its tombstone: at most ``most`` rows.

    Signals stay as bare rows without text, for receipts count them.
    """
    counts, left = Counter[str](), most
    for name, table, key, whose in _parts(record):
        some = select(*key).where(whose).limit(left)
        among = tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
        if table is signals:
            blank = update(signals).where(among).values(title="", reason=None)
            left -= connection.execute(blank).rowcount
        else:
            counts[name] = _delete(connection, table, among)
            left -= counts[name]
        if left <= 0:
            return Step(counts, last=False)
    return _shorten(connection, record, left, counts)


def begun(connection: Connection) -> list[int]:
    """Records that have their tombstone, and of whose chain something is left."""
    left = exists().where(timeline.c.subject == tombstones.c.subject)
    return list(connection.execute(select(tombstones.c.subject).where(left)).scalars())


def _keys_of(connection: Connection, record: int, most: int) -> list[str]:
    keys = select(fold_keys.c.key).where(fold_keys.c.incident == record).order_by(fold_keys.c.key).limit(most)
    return list(connection.execute(keys).scalars())


def _forget(connection: Connection, keys: Sequence[str]) -> Counter[str]:
    """Delete fold keys, and count what they had counted."""
    among = fold_keys.c.key.in_(keys)
    heard = select(func.coalesce(func.sum(fold_keys.c.signals), 0)).where(among, fold_keys.c.key.like("alert:%"))
    counts = Counter({"heard": int(connection.execute(heard).scalar_one())})
    counts["fold_keys"] = _delete(connection, fold_keys, among)
    return counts


def _parts(record: int) -> Iterator[tuple[str, Table, tuple[Column[int], ...], ColumnElement[bool]]]:
    """What hangs off a record: its name, where it is, by what it is told apart, and whose it is."""
    told = select(outbox.c.id).where(outbox.c.subject == record)
    text = and_(signals.c.incident == record, or_(signals.c.title != "", signals.c.reason.is_not(None)))
    yield "deliveries", deliveries, (deliveries.c.id,), deliveries.c.outbox.in_(told)
    yield "notifications", outbox, (outbox.c.id,), outbox.c.subject == record
    yield "targets", targets, (targets.c.id,), targets.c.subject == record
    yield "assessments", assessments, (assessments.c.id,), assessments.c.incident == record
    yield "participants", participants, tuple(participants.primary_key), participants.c.subject == record
    yield "links", links, tuple(links.primary_key), or_(links.c["from"] == record, links.c.to == record)
    yield "signals", signals, (signals.c.id,), text


def _shorten(connection: Connection, record: int, most: int, counts: Counter[str]) -> Step:
    """Take the last entries off a chain, each with its values, which is a row of its own."""
    newest = connection.execute(select(func.max(timeline.c.seq)).where(timeline.c.subject == record)).scalar() or 0
    from_seq = newest - max(most // 2, 1) + 1
    values = and_(timeline_values.c.subject == record, timeline_values.c.seq >= from_seq)
    counts["values"] = _delete(connection, timeline_values, values)
    entries = and_(timeline.c.subject == record, timeline.c.seq >= from_seq)
    counts["entries"] = _delete(connection, timeline, entries)
    return Step(counts, last=from_seq <= 1)


def _delete(connection: Connection, table: Table, whose: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(whose)).rowcount
