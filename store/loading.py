"""Loading a working set: everything that a turn may touch, in a handful of queries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from desk.take import Needs
from desk.working import Working
from incidents.budget import oldest_counted
from incidents.incident import DUPLICATE
from incidents.person import Person
from kit.instants import from_micros, to_micros
from store.bulk import rows_with
from store.rows import assessment_of, fold_key_of, incident_of, target_of
from store.tables.incidents import assessments, incidents
from store.tables.links import links
from store.tables.outbox import budgets, outbox
from store.tables.people import addresses, participants, people
from store.tables.signals import fold_keys, signals
from store.tables.targets import targets

#: How many values one IN takes; far below what either database allows.
_CHUNK = 1000

_PERSON = (
    people.c.id, people.c.name, people.c.handle, people.c.language, addresses.c.address, addresses.c.suppressed_at,
)  # fmt: skip

def _asking(query: Select[Any], column: Column[Any]) -> Mapping[str, Select[Any]]:
    """For either database, the rows of a query whose column is one of the values that `_among` gives it."""
    array = bindparam("values", type_=ARRAY(column.type))  # one statement on PostgreSQL, however many values
    return {
        "sqlite": query.where(column.in_(bindparam("values", expanding=True))),
        "postgresql": query.where(column == any_(array)),
    }


# Every turn asks these, and to build one takes longer than the answer does, so they are built once.
_SIGNALS = _asking(select(signals.c.key, signals.c.id, signals.c.incident), signals.c.key)
_NUMBERS = _asking(select(incidents.c.number, incidents.c.id), incidents.c.number)
_RECORDS = _asking(select(incidents), incidents.c.id)
_LIVE_TARGETS = _asking(select(targets).where(targets.c.state.in_(("running", "paused"))), targets.c.subject)
_MERGED = _asking(select(links.c["from"], links.c.to).where(links.c.relation == "duplicate_of"), links.c["from"])
_ADDRESSED = _asking(
    select(*_PERSON).join_from(addresses, people, addresses.c.person == people.c.id), addresses.c.address
)  # fmt: skip
_PARTICIPANTS = _asking(
    select(participants.c.subject, participants.c.person, participants.c.team, participants.c.role)
    .where(participants.c.until.is_(None)),
    participants.c.subject,
)  # fmt: skip
_PEOPLE = _asking(
    select(*_PERSON).join_from(people, addresses, addresses.c.person == people.c.id, isouter=True)
    .order_by(addresses.c.suppressed_at.desc()),
    people.c.id,
)  # fmt: skip
_SPENT = _asking(
    select(budgets.c.address, budgets.c.kind, budgets.c.hour, budgets.c["count"])
    .where(budgets.c.hour > bindparam("since")),
    budgets.c.address,
)  # fmt: skip
_OPEN_NOTICES = select(outbox.c.recipient, outbox.c.id).where(
    outbox.c.next_at.is_not(None), outbox.c.state == "waiting", outbox.c.rank == 1, outbox.c.kind == "notice",
    outbox.c.lease_owner.is_(None),
)  # fmt: skip


def load_keys(connection: Connection, working: Working, needs: Needs) -> None:
    """Load the fold keys, the signals with the same keys, and the numbers of subject tags."""
    for row in rows_with(connection, fold_keys.c.key, needs.keys):
        key = fold_key_of(row)
        working.keys[key.key] = key
    found = _among(connection, _SIGNALS, needs.signal_keys)
    working.known_signals.update({bytes(key): (number, incident) for key, number, incident in found})
    working.numbers.update({row.number: row.id for row in _among(connection, _NUMBERS, needs.numbers)})


def load_records(connection: Connection, working: Working, records: Collection[int]) -> None:
    """Load records with the ends of their chains, what they were merged into, and their targets that still bind."""
    wanted = set(records) - {0} - working.incidents.keys()
    if not wanted:
        return
    for row in _among(connection, _RECORDS, wanted):
        working.incidents[row.id] = incident_of(row)
        working.heads[row.id] = (row.head_seq, bytes(row.head_hash))
    for row in _among(connection, _LIVE_TARGETS, wanted):
        working.targets[row.subject].append(target_of(row))
    merged = [one.id for one in working.incidents.values() if one.resolution == DUPLICATE]
    into = {row[0]: row.to for row in _among(connection, _MERGED, merged)}
    working.merged_into.update(into)
    load_records(connection, working, into.values())


def load_people(connection: Connection, working: Working, needs: Needs) -> None:
    """Load people by address, and the requesters, assignees and participants of the loaded records."""
    for row in _among(connection, _ADDRESSED, needs.addresses):
        working.by_address[row.address] = working.people[row.id] = _person(row)
    for subject, person, team, role in _among(connection, _PARTICIPANTS, working.incidents):
        working.participants[subject].add((person, team, role))
    ids = {one.requester for one in working.incidents.values()} | {one.assignee for one in working.incidents.values()}
    ids |= {person for taking in working.participants.values() for person, _, _ in taking}
    load_people_by_id(connection, working, {number for number in ids if number} - working.people.keys())


def load_people_by_id(connection: Connection, working: Working, ids: Collection[int]) -> None:
    """Load people, each with the first address that still takes mail."""
    for row in _among(connection, _PEOPLE, ids):
        working.people[row.id] = _person(row)


def load_budgets(connection: Connection, working: Working) -> None:
    """Load what was told in the last day to everybody who may be told now, and the notices still open."""
    known = (*working.people.values(), *working.desk.agents.values(), *working.desk.team_people.values())
    may_be_told = {"*", *working.by_address, *(f"record:{record}" for record in working.incidents)}
    may_be_told |= {person.address for person in known if person.address}
    working.budgeted = may_be_told
    since = to_micros(oldest_counted(working.now))
    for address, kind, slot, count in _among(connection, _SPENT, may_be_told, since=since):
        working.slots[address, kind][from_micros(slot)] = count
    working.open_notices.update({row.recipient: row.id for row in connection.execute(_OPEN_NOTICES)})


def load_assessments(connection: Connection, working: Working, record: int) -> None:
    """Load the newest assessment of one record, for a person who changes a field of it."""
    query = select(assessments).where(assessments.c.incident == record).order_by(assessments.c.id.desc()).limit(1)
    for row in connection.execute(query):
        working.assessed[record] = assessment_of(row)


def _person(row: Row[Any]) -> Person:
    return Person(row.id, row.name, row.handle, row.address, row.language, row.suppressed_at is not None)


def _among(
    connection: Connection, asking: Mapping[str, Select[Any]], values: Collection[Any], **given: Any
) -> Iterator[Any]:
    """The rows of what `_asking` built for ``values``, however many."""
    query, wanted = asking[connection.dialect.name], sorted(values)
    for start in range(0, len(wanted), _CHUNK):
        yield from connection.execute(query, {"values": wanted[start : start + _CHUNK], **given})
