"""Burying a record: everything of it is deleted, and a tombstone tells that its chain was, and where it ended.

A record may have a hundred thousand rows, so it goes in steps. First its fold keys, as long as it is closed; then the
record itself, with the tombstone in the same commit; then what hung off it; its chain last, from the end. So a proof
between two steps holds, and what a kill leaves is found by the tombstone of a chain that is still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Delete,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

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


def _some(change: Delete | Update, *key: Column[Any], whose: ColumnElement[bool]) -> Delete | Update:
    """The change to at most ``left`` rows, which ``key`` tells apart."""
    some = select(*key).where(whose).limit(bindparam("left"))
    return change.where(tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some))


_RECORD = bindparam("record", type_=BigInteger)
_TEXT = and_(signals.c.incident == _RECORD, or_(signals.c.title != "", signals.c.reason.is_not(None)))
#: What hangs off a record, by name; built once, for it runs with the lock held.
_PARTS = {
    "deliveries": _some(
        delete(deliveries), deliveries.c.id,
        whose=deliveries.c.outbox.in_(select(outbox.c.id).where(outbox.c.subject == _RECORD)),
    ),
    "notifications": _some(delete(outbox), outbox.c.id, whose=outbox.c.subject == _RECORD),
    "targets": _some(delete(targets), targets.c.id, whose=targets.c.subject == _RECORD),
    "assessments": _some(delete(assessments), assessments.c.id, whose=assessments.c.incident == _RECORD),
    "participants": _some(
        delete(participants), *participants.primary_key, whose=participants.c.subject == _RECORD
    ),
    "links": _some(delete(links), *links.primary_key, whose=or_(links.c["from"] == _RECORD, links.c.to == _RECORD)),
    "texts": _some(update(signals).values(title="", reason=None), signals.c.id, whose=_TEXT),
}  # fmt: skip
_NEWEST = select(func.coalesce(func.max(timeline.c.seq), 0)).where(timeline.c.subject == _RECORD)
_LAST_ENTRIES = {
    "values": delete(timeline_values).where(
        timeline_values.c.subject == _RECORD, timeline_values.c.seq >= bindparam("from_seq")
    ),
    "entries": delete(timeline).where(timeline.c.subject == _RECORD, timeline.c.seq >= bindparam("from_seq")),
}


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
    counts["incidents"] = connection.execute(delete(incidents).where(incidents.c.id == record)).rowcount
    step = clear(connection, record, most=most - len(keys))
    return Step(counts + step.counts, step.last)


def clear(connection: Connection, record: int, *, most: int) -> Step:
    """Go on with a record that has its tombstone: at most ``most`` rows.

    Signals stay as bare rows without text, for receipts count them.
    """
    counts, left = Counter[str](), most
    for name, statement in _PARTS.items():
        found = connection.execute(statement, {"record": record, "left": left}).rowcount
        left -= found
        if name != "texts":
            counts[name] = found
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
    counts["fold_keys"] = connection.execute(delete(fold_keys).where(among)).rowcount
    return counts


def _shorten(connection: Connection, record: int, most: int, counts: Counter[str]) -> Step:
    """Take the last entries off a chain, each with its values, which is a row of its own."""
    newest = connection.execute(_NEWEST, {"record": record}).scalar_one()
    from_seq = newest - max(most // 2, 1) + 1
    for name, statement in _LAST_ENTRIES.items():
        counts[name] = connection.execute(statement, {"record": record, "from_seq": from_seq}).rowcount
    return Step(counts, last=from_seq <= 1)
