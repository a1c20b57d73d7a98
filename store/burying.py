"""Burying a record: everything of it is deleted, and a tombstone tells that its chain was, and where it ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select, update

from kit.instants import to_micros
from store.bulk import insert_rows
from store.tables.incidents import assessments, incidents
from store.tables.links import links
from store.tables.outbox import deliveries, outbox
from store.tables.people import participants
from store.tables.signals import fold_keys, signals
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values, tombstones


def bury(connection: Connection, record: int, *, rule: str, now: datetime) -> Mapping[str, int]:
    """Delete a record and leave its tombstone; how many rows went, by kind.

    Signals stay as bare rows without text, for receipts count them. ``heard`` is how many signals of monitors the fold
    keys had counted that go with it.
    """
    row = connection.execute(select(incidents.c.head_seq, incidents.c.head_hash).where(incidents.c.id == record)).one()
    insert_rows(connection, tombstones, [(record, row.head_seq, bytes(row.head_hash), rule, to_micros(now))])
    told = select(outbox.c.id).where(outbox.c.subject == record)
    heard = select(func.coalesce(func.sum(fold_keys.c.signals), 0)).where(
        fold_keys.c.incident == record, fold_keys.c.key.like("alert:%")
    )
    counts = {"heard": int(connection.execute(heard).scalar_one())}
    connection.execute(update(signals).where(signals.c.incident == record).values(title="", reason=None))
    for name, table, whose in (
        ("deliveries", deliveries, deliveries.c.outbox.in_(told)),
        ("notifications", outbox, outbox.c.subject == record),
        ("targets", targets, targets.c.subject == record),
        ("assessments", assessments, assessments.c.incident == record),
        ("participants", participants, participants.c.subject == record),
        ("links", links, or_(links.c["from"] == record, links.c.to == record)),
        ("fold_keys", fold_keys, fold_keys.c.incident == record),
        ("incidents", incidents, incidents.c.id == record),
        ("values", timeline_values, timeline_values.c.subject == record),
        ("entries", timeline, timeline.c.subject == record),
    ):
        counts[name] = _delete(connection, table, whose)
    return counts


def _delete(connection: Connection, table: Table, whose: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(whose)).rowcount
