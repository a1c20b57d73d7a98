"""Incidents for people: the queue by the next clock, and one record with all that hangs on it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from incidents.assessment import Assessment, Severity
from incidents.incident import DUPLICATE, OPEN_STATES, PREFIX, Incident, Kind
from incidents.person import Person
from incidents.targets import Target, TargetState
from kit.instants import from_micros
from store.listing.pages import Page, page_of, read_cursor
from store.listing.people import people_by_id
from store.rows import assessment_of, incident_of, instant, target_of
from store.tables.incidents import CLOSED, NO_CLOCK, QUEUE, RESOLVED, assessments, incidents
from store.tables.links import links
from store.tables.people import participants
from store.tables.signals import fold_keys, signals
from store.tables.targets import targets

#: Where in the queue records of a state stand, from and to; of any other: where open ones do.
_PLACES = {"resolved": (RESOLVED, RESOLVED), "closed": (CLOSED, CLOSED)}
_OPEN = (0, NO_CLOCK)
_MOST_MERGES = 8  # one after another; longer chains do not occur, and a loop must end


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents: by states, team and priority; empty means any."""

    states: Sequence[str] = OPEN_STATES
    team: str | None = None
    priority: str | None = None


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """An incident with who asked, who has it, its promises that still bind, and how many signals it took."""

    incident: Incident
    severity: Severity
    requester: Person | None
    assignee: Person | None
    promises: Sequence[Target]
    signals: int

    @property
    def due(self) -> Target | None:
        """The running promise that ends first."""
        running = [target for target in self.promises if target.state == TargetState.RUNNING]
        return min(running, key=lambda target: target.due_at, default=None)


class Related(NamedTuple):
    """Another record, and how it stands to this one; ``outward`` says that the relation begins here."""

    relation: str
    ref: str
    title: str
    outward: bool
    since: datetime
    note: str | None


class TakesPart(NamedTuple):
    """Who takes part: a person, or a team or mailbox by name."""

    role: str
    person: Person | None
    team: str
    since: datetime


@dataclass(frozen=True, slots=True)
class IncidentShown:
    """One incident with all that hangs on it."""

    line: IncidentLine
    targets: Sequence[Target]
    people: Sequence[TakesPart]
    related: Sequence[Related]
    acknowledged_by: Person | None = None
    fold_keys: Sequence[Mapping[str, Any]] = field(default=())


def list_incidents(
    connection: Connection, wanted: Wanted, *, limit: int, cursor: str | None = None
) -> Page[IncidentLine]:
    """The queue: what has to happen first stands first, then by priority, then the newest."""
    place = None if cursor is None else read_cursor(cursor, (int, str, int))
    rows = connection.execute(_queue(wanted, place).limit(limit + 1)).all()
    kept, after = page_of(rows, limit, lambda row: (row.due_at, row.priority, row.id))
    return Page(lines_of(connection, kept), after)


def _queue(wanted: Wanted, place: Sequence[Any] | None) -> Select[Any]:
    query = select(incidents).order_by(*QUEUE)
    if wanted.states:
        places = [_PLACES.get(state, _OPEN) for state in wanted.states]
        query = query.where(incidents.c.due_at >= min(places)[0], incidents.c.due_at <= max(places)[1])
        query = query.where(incidents.c.state.in_(wanted.states))
    if wanted.team is not None:
        query = query.where(incidents.c.team == wanted.team)
    if wanted.priority is not None:
        query = query.where(incidents.c.priority == wanted.priority)
    if place is None:
        return query
    due_at, priority, number = place
    after = or_(incidents.c.priority > priority, and_(incidents.c.priority == priority, incidents.c.id < number))
    return query.where(incidents.c.due_at >= due_at, or_(incidents.c.due_at > due_at, after))


def find_incident(connection: Connection, number: int) -> Incident | None:
    """The record of that number."""
    row = connection.execute(select(incidents).where(incidents.c.number == number)).one_or_none()
    return None if row is None else incident_of(row)


def show_incident(connection: Connection, number: int) -> IncidentShown | None:
    """The record of that number, with all that hangs on it."""
    rows = connection.execute(select(incidents).where(incidents.c.number == number)).all()
    if not rows:
        return None
    line = lines_of(connection, rows)[0]
    subject = line.incident.id
    query = select(targets).where(targets.c.subject == subject).order_by(targets.c.started_at, targets.c.id)
    by = line.incident.acknowledged_by
    keys = select(fold_keys.c.key, fold_keys.c.status, fold_keys.c.signals, fold_keys.c.last_seen_at)
    return IncidentShown(
        line,
        [target_of(row) for row in connection.execute(query)],
        _people(connection, subject),
        _related(connection, subject),
        people_by_id(connection, [by]).get(by or 0),
        [
            {"key": row.key, "status": row.status, "signals": row.signals, "last_seen_at": instant(row.last_seen_at)}
            for row in connection.execute(keys.where(fold_keys.c.incident == subject).order_by(fold_keys.c.key))
        ],
    )


def stays_of(connection: Connection, record: int) -> int:
    """The record that this one was merged into, and so on; itself where it was not."""
    query = select(links.c.to).join(incidents, incidents.c.id == links.c["from"])
    query = query.where(links.c.relation == "duplicate_of", incidents.c.resolution == DUPLICATE)
    for _ in range(_MOST_MERGES):
        into = connection.execute(query.where(incidents.c.id == record)).scalar()
        if into is None:
            break
        record = into
    return record


def all_assessments(connection: Connection, subject: int) -> Sequence[Assessment]:
    """Every judgement of the record, the oldest first."""
    query = select(assessments).where(assessments.c.incident == subject).order_by(assessments.c.id)
    return [assessment_of(row) for row in connection.execute(query)]


def refs_of(connection: Connection, ids: Iterable[int | None]) -> dict[int, str]:
    """The references of some records."""
    wanted = sorted({number for number in ids if number})
    query = select(incidents.c.id, incidents.c.kind, incidents.c.number)
    found: dict[int, str] = {}
    for start in range(0, len(wanted), 1000):
        for row in connection.execute(query.where(incidents.c.id.in_(wanted[start : start + 1000]))):
            found[row.id] = make_ref(row.kind, row.number)
    return found


def make_ref(kind: str, number: int) -> str:
    """The reference for people."""
    return f"{PREFIX[Kind(kind)]}-{number}"


def lines_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[IncidentLine]:
    """Some rows of incidents with what lists show beside them: a handful of queries for all."""
    found = [incident_of(row) for row in rows]
    ids = [one.id for one in found]
    people = people_by_id(connection, [person for one in found for person in (one.requester, one.assignee)])
    judged, counted, promised = _severities(connection, ids), _signals(connection, ids), _promises(connection, ids)
    return [
        IncidentLine(
            one,
            judged.get(one.id) or Severity(one.severity, None, one.needs_person),
            people.get(one.requester or 0),
            people.get(one.assignee or 0),
            promised[one.id],
            counted[one.id],
        )
        for one in found
    ]


def _severities(connection: Connection, ids: Sequence[int]) -> dict[int, Severity]:
    newest = (
        select(func.max(assessments.c.id)).where(assessments.c.incident.in_(ids)).group_by(assessments.c.incident)
    )
    query = select(assessments.c.incident, assessments.c.severity).where(assessments.c.id.in_(newest))
    found: dict[int, Severity] = {}
    for row in connection.execute(query):
        judged = json.loads(row.severity)
        chances = judged["probabilities"]
        found[row.incident] = Severity(
            judged["level"], None if chances is None else tuple(chances), judged["needs_person"]
        )
    return found


def _signals(connection: Connection, ids: Sequence[int]) -> Mapping[int, int]:
    """How many signals each took: those that have a row, or, when repeats were only counted, what its keys say."""
    kept = select(signals.c.incident, func.count()).where(signals.c.incident.in_(ids)).group_by(signals.c.incident)
    said = select(fold_keys.c.incident, func.sum(fold_keys.c.signals)).where(fold_keys.c.incident.in_(ids))
    counted: dict[int, int] = defaultdict(int)
    for query in (kept, said.group_by(fold_keys.c.incident)):
        for record, count in connection.execute(query):
            counted[record] = max(counted[record], int(count))
    return counted


def _promises(connection: Connection, ids: Sequence[int]) -> Mapping[int, list[Target]]:
    query = select(targets).where(
        targets.c.subject.in_(ids), targets.c.state.in_(("running", "paused")), targets.c.name.like("sla.%")
    )
    promised: dict[int, list[Target]] = defaultdict(list)
    for row in connection.execute(query.order_by(targets.c.due_at)):
        promised[row.subject].append(target_of(row))
    return promised


def _people(connection: Connection, subject: int) -> list[TakesPart]:
    rows = connection.execute(
        select(participants)
        .where(participants.c.subject == subject, participants.c.until.is_(None))
        .order_by(participants.c.since, participants.c.person)
    ).all()
    known = people_by_id(connection, [row.person for row in rows])
    return [TakesPart(row.role, known.get(row.person), row.team, from_micros(row.since)) for row in rows]


def _related(connection: Connection, subject: int) -> list[Related]:
    related: list[Related] = []
    for here, there, outward in ((links.c["from"], links.c.to, True), (links.c.to, links.c["from"], False)):
        query = select(links.c.relation, links.c.since, links.c.note, incidents.c.kind, incidents.c.number,
                       incidents.c.title)  # fmt: skip
        query = query.join(incidents, incidents.c.id == there).where(here == subject, links.c.until.is_(None))
        related += [
            Related(row.relation, make_ref(row.kind, row.number), row.title, outward, from_micros(row.since), row.note)
            for row in connection.execute(query.order_by(links.c.since))
        ]
    return related
