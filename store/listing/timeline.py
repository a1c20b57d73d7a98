"""A record's timeline for people: entries in the order in which things happened, with their authors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, select

from incidents.person import Person
from kit.instants import from_micros
from store.listing.people import people_by_id
from store.tables.timeline import timeline, timeline_values

#: An entry that was written down this much after it happened is shown as late.
LATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class EntryShown:
    """One entry. ``erased`` says of each value that was deleted when and why."""

    seq: int
    occurred_at: datetime
    recorded_at: datetime
    kind: str
    author: Person
    values: Mapping[str, Any]
    erased: Mapping[str, Mapping[str, Any]]

    @property
    def late(self) -> bool:
        """Whether it was written down long after it happened."""
        return self.recorded_at - self.occurred_at > LATE


def list_timeline(connection: Connection, subject: int) -> Sequence[EntryShown]:
    """All entries of a record."""
    beside = and_(timeline_values.c.subject == timeline.c.subject, timeline_values.c.seq == timeline.c.seq)
    query = (
        select(
            timeline.c.seq, timeline.c.occurred_at, timeline.c.recorded_at, timeline.c.kind, timeline.c.author,
            timeline_values.c["values"].label("said"),
        )
        .join_from(timeline, timeline_values, beside, isouter=True)
        .where(timeline.c.subject == subject)
        .order_by(timeline.c.occurred_at, timeline.c.seq)
    )  # fmt: skip
    rows = connection.execute(query).all()
    authors = people_by_id(connection, [row.author for row in rows])
    entries = []
    for row in rows:
        said = json.loads(row.said or "{}")
        values = {name: value[1] for name, value in said.items() if isinstance(value, list)}
        erased = {name: value for name, value in said.items() if not isinstance(value, list)}
        author = authors.get(row.author) or Person(row.author, f"person {row.author}")
        entries.append(
            EntryShown(
                row.seq, from_micros(row.occurred_at), from_micros(row.recorded_at), row.kind, author, values, erased
            )
        )
    return entries
