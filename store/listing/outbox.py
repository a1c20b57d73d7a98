"""The outbox for people: what is to be told, what was, and every attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, select, text

from kit.instants import from_micros
from store.compress import decompress
from store.listing.incidents import make_ref
from store.listing.pages import Page, page_of, read_cursor
from store.rows import instant
from store.tables.incidents import incidents
from store.tables.outbox import deliveries, outbox
from store.tables.people import people

_COMMON = frozenset({"waiting", "ready", "delivered"})
#: As text: SQLite finds a partial index only by the very words that made it.
_RARE = text("outbox.state <> 'waiting' AND outbox.state <> 'ready' AND outbox.state <> 'delivered'")


@dataclass(frozen=True, slots=True)
class NotificationLine:
    """A notification: to whom, about what, and where it stands."""

    id: int
    subject: str | None
    kind: str
    person: str
    recipient: str
    channel: str
    rank: int
    message_id: str
    state: str
    reason: str | None
    attempts: int
    created_at: datetime
    next_at: datetime | None
    expires_at: datetime
    notice: int | None
    members: int


class Attempt(NamedTuple):
    """One attempt to hand it over, or a report that came back."""

    at: datetime
    outcome: str
    code: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class NotificationShown:
    """A notification with its attempts, the bytes of its mail once they are fixed, and what it is told from."""

    line: NotificationLine
    attempts: Sequence[Attempt]
    body: bytes | None
    facts: Mapping[str, Any]


def list_outbox(
    connection: Connection, *, states: Sequence[str] = (), limit: int, cursor: str | None = None
) -> Page[NotificationLine]:
    """One page, the newest first; ``states`` empty means any."""
    query = _joined().order_by(outbox.c.id.desc())
    if states:
        query = query.where(outbox.c.state.in_(states))
        if _COMMON.isdisjoint(states):
            query = query.where(_RARE)
    if cursor is not None:
        query = query.where(outbox.c.id < read_cursor(cursor, (int,))[0])
    lines = [_line(row) for row in connection.execute(query.limit(limit + 1))]
    kept, after = page_of(lines, limit, lambda line: (line.id,))
    return Page(kept, after)


def show_notification(connection: Connection, number: int) -> NotificationShown | None:
    """The notification of that id."""
    query = _joined().add_columns(outbox.c.bytes, outbox.c.facts).where(outbox.c.id == number)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    tried = select(deliveries).where(deliveries.c.outbox == number).order_by(deliveries.c.at, deliveries.c.id)
    attempts = [Attempt(from_micros(one.at), one.outcome, one.code, one.text) for one in connection.execute(tried)]
    body = None if row.bytes is None else decompress(bytes(row.bytes))
    return NotificationShown(_line(row), attempts, body, json.loads(row.facts))


def _joined() -> Select[Any]:
    query = select(
        outbox.c.id, outbox.c.kind, outbox.c.recipient, outbox.c.channel, outbox.c.rank, outbox.c.message_id,
        outbox.c.state, outbox.c.reason, outbox.c.attempts, outbox.c.created_at, outbox.c.next_at,
        outbox.c.expires_at, outbox.c.notice, outbox.c.members, people.c.name.label("person"),
        incidents.c.kind.label("record_kind"), incidents.c.number.label("record_number"),
    )  # fmt: skip
    query = query.join_from(outbox, incidents, incidents.c.id == outbox.c.subject, isouter=True)
    return query.join(people, people.c.id == outbox.c.person, isouter=True)


def _line(row: Row[Any]) -> NotificationLine:
    ref = None if row.record_number is None else make_ref(row.record_kind, row.record_number)
    return NotificationLine(
        row.id, ref, row.kind, row.person or row.recipient, row.recipient, row.channel, row.rank, row.message_id,
        row.state, row.reason, row.attempts, from_micros(row.created_at), instant(row.next_at),
        from_micros(row.expires_at), row.notice, row.members,
    )  # fmt: skip
