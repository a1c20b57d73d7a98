"""The outbox: what a mail is told from is loaded in bulk, and what became of it is kept in one commit."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, exists, or_, select, tuple_, update

from incidents.effects import NoticeKind, Outgoing
from incidents.incident import Incident
from incidents.person import Person
from incidents.story import Page, Story
from kit.instants import from_micros, to_micros
from kit.text import clean_text
from store.bulk import insert_rows, update_rows
from store.compress import decompress
from store.counters import reserve
from store.rows import incident_of, instant, micros
from store.tables.incidents import incidents
from store.tables.outbox import deliveries, outbox
from store.tables.people import people
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values

#: Pages that a notice lists; it counts the others.
MOST_PAGES = 50
_SETTLING = ("id", "lease_owner", "state", "members")
_VERDICT = ("lease_owner", "lease_until", "state", "reason", "next_at", "attempts")
_TOLD = ("waiting", "ready", "delivered")
# Every mail asks these, so they are built once.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_RECORDS = select(incidents).where(incidents.c.id.in_(_IDS))
_PERSONS = select(people.c.id, people.c.name, people.c.handle, people.c.language).where(people.c.id.in_(_IDS))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a claimed row: its new state, and the mail, fixed from now on, as `store.compress` makes it."""

    outgoing: Outgoing
    state: str
    next_at: datetime | None = None
    reason: str | None = None
    attempts: int | None = None
    body: bytes | None = None


class Delivery(NamedTuple):
    """One attempt to hand a row over, and its result."""

    outbox: int
    outcome: str
    code: str | None
    text: str | None


class _Reply(NamedTuple):
    text: str
    author: str


def outgoing_of(row: Row[Any]) -> Outgoing:
    """A notification from its row."""
    return Outgoing(
        row.id, row.subject, row.kind, row.person, row.recipient, row.rank, row.message_id, json.loads(row.facts),
        row.state, from_micros(row.created_at), instant(row.next_at), from_micros(row.expires_at), row.channel,
        row.reason, row.notice, row.members, row.attempts, None if row.bytes is None else decompress(bytes(row.bytes)),
    )  # fmt: skip


# ---------------------------------------------------------------------- load


def load_stories(connection: Connection, told: Sequence[Outgoing]) -> dict[int, Story]:
    """What each of these is told from, by its id."""
    records = _records(connection, {one.subject for one in told if one.subject is not None})
    persons = _persons(connection, {one.person for one in told})
    replies = _replies(connection, [one for one in told if one.kind == NoticeKind.REPLY])
    stories = {}
    for one in told:
        reply = replies.get((one.subject, one.facts.get("entry")), _Reply("", ""))
        pages = _pages(connection, one.id) if one.kind == NoticeKind.NOTICE else ()
        person = persons.get(one.person) or Person(one.person, "")
        incident = records.get(one.subject or 0)
        stories[one.id] = Story(person, incident, reply.text, reply.author, pages, one.members)
    return stories


def _records(connection: Connection, ids: Collection[int]) -> dict[int, Incident]:
    found = connection.execute(_RECORDS, {"ids": list(ids)}) if ids else ()
    return {row.id: incident_of(row) for row in found}


def _persons(connection: Connection, ids: Collection[int]) -> dict[int, Person]:
    found = connection.execute(_PERSONS, {"ids": list(ids)})
    return {row.id: Person(row.id, row.name, row.handle, None, row.language) for row in found}


def _replies(connection: Connection, told: Sequence[Outgoing]) -> dict[tuple[int | None, Any], _Reply]:
    """What the entries that these name say, and who wrote them. Erased words are gone from mails, too."""
    wanted = {(one.subject, one.facts["entry"]) for one in told if one.facts.get("entry") is not None}
    if not wanted:
        return {}
    values = timeline_values
    query = (
        select(values.c.subject, values.c.seq, values.c["values"], people.c.name, people.c.handle)
        .join(timeline, and_(timeline.c.subject == values.c.subject, timeline.c.seq == values.c.seq))
        .outerjoin(people, people.c.id == timeline.c.author)
        .where(tuple_(values.c.subject, values.c.seq).in_(wanted))
    )
    replies: dict[tuple[int | None, Any], _Reply] = {}
    for subject, seq, document, name, handle in connection.execute(query).all():
        said = {field: kept[1] for field, kept in json.loads(document).items() if isinstance(kept, list)}
        signed = name
        if str(handle).startswith("cli:"):  # who sits at the shell signs as the agent they write for, or as nobody
            agent = select(people.c.name).where(people.c.handle == said.get("acting_as", ""))
            signed = connection.execute(agent).scalar()
        replies[subject, seq] = _Reply(said.get("text", ""), signed or "")
    return replies


def _pages(connection: Connection, notice: int) -> list[Page]:
    query = (
        select(incidents.c.id, incidents.c.number, incidents.c.kind, incidents.c.priority, incidents.c.title)
        .where(incidents.c.id.in_(select(outbox.c.subject).where(outbox.c.notice == notice)))
        .order_by(incidents.c.priority, incidents.c.id)
        .limit(MOST_PAGES)
    )
    return [
        Page(row.id, f"{'REQ' if row.kind == 'service_request' else 'INC'}-{row.number}", row.priority, row.title)
        for row in connection.execute(query)
    ]


def overtaken(connection: Connection, claimed: Iterable[Outgoing]) -> set[int]:
    """Status mails of which nothing was sent yet, and which a newer one of the same record and person makes old."""
    ids = [one.id for one in claimed if one.kind == NoticeKind.STATUS and not one.attempts]
    if not ids:
        return set()
    newer = outbox.alias("newer")
    later = or_(
        newer.c.created_at > outbox.c.created_at,
        and_(newer.c.created_at == outbox.c.created_at, newer.c.id > outbox.c.id),
    )
    same = and_(newer.c.subject == outbox.c.subject, newer.c.person == outbox.c.person, newer.c.kind == outbox.c.kind)
    query = select(outbox.c.id).where(outbox.c.id.in_(ids), exists().where(same, later, newer.c.state.in_(_TOLD)))
    return set(connection.execute(query).scalars())


# ---------------------------------------------------------------------- keep


def keep_verdicts(connection: Connection, owner: str, verdicts: Sequence[Verdict]) -> int:
    """Settle claimed rows; how many were still the owner's. The others changed meanwhile and are only put back."""
    found = 0
    for with_body in (True, False):
        some = [one for one in verdicts if (one.body is not None) is with_body]
        assign = (*_VERDICT, "bytes") if with_body else _VERDICT
        rows = [_verdict_row(one, owner) for one in some]
        found += update_rows(connection, outbox, rows=rows, match=_SETTLING, assign=assign)
    if found < len(verdicts):
        ids = [one.outgoing.id for one in verdicts]
        mine = and_(outbox.c.id.in_(ids), outbox.c.lease_owner == owner)
        connection.execute(update(outbox).where(mine).values(lease_owner=None, lease_until=None))
    return found


def _verdict_row(verdict: Verdict, owner: str) -> tuple[Any, ...]:
    """What the row was when it was claimed, then what it becomes."""
    was = verdict.outgoing
    attempts = was.attempts if verdict.attempts is None else verdict.attempts
    row = (
        was.id, owner, was.state, was.members, None, None, verdict.state, verdict.reason, micros(verdict.next_at),
        attempts,
    )  # fmt: skip
    return row if verdict.body is None else (*row, verdict.body)


def keep_deliveries(connection: Connection, results: Sequence[Delivery], now: datetime) -> None:
    """Every attempt that was made, whoever owns the row by now."""
    if not results:
        return
    at, ids = to_micros(now), reserve(connection, "row", len(results))
    insert_rows(connection, deliveries, [
        (number, one.outbox, at, one.outcome, one.code, None if one.text is None else clean_text(one.text))
        for number, one in zip(ids, results, strict=True)
    ])  # fmt: skip


def escalate_at_once(connection: Connection, dead: Sequence[Outgoing], now: datetime) -> int:
    """Let the escalation go on now where the page of its latest step reached nobody; how many do (faults 76, 79)."""
    moved, at = 0, to_micros(now)
    for page in dead:
        if page.kind != NoticeKind.ESCALATION or page.subject is None:
            continue
        others = outbox.alias("others")
        reached = exists().where(
            others.c.subject == page.subject, others.c.kind == page.kind, others.c.id != page.id,
            others.c.created_at == to_micros(page.created_at), others.c.state.in_((*_TOLD, "collapsed")),
        )  # fmt: skip
        waits = and_(
            targets.c.subject == page.subject, targets.c.name == f"escalation.{page.facts.get('path')}",
            targets.c.state == "running", targets.c.next_at > at, targets.c.lease_owner.is_(None),
            targets.c.step == (page.facts.get("step") or -1), ~reached,
        )  # fmt: skip
        moved += connection.execute(update(targets).where(waits).values(next_at=at, due_at=at)).rowcount
    return moved
