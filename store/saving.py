"""Saving a working set: all that a turn decided, in one transaction, hot tables as tuples.

The rows that every signal has are made before the lock is taken, so that nobody waits while a document is encoded.
Fold keys come first, for there two nodes that open the same incident at once collide; everything is sorted by key.
What another writer changed since the load shows as a count that is too small, and the turn is taken again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from desk.clocks import earliest_due
from desk.working import BudgetKey, Working
from incidents.effects import Outgoing
from incidents.incident import Incident
from incidents.targets import Target
from incidents.timeline import FIRST_PREV
from kit.instants import to_micros
from store.bulk import Row, add_rows, added_rows, insert_rows, update_rows, write_rows
from store.counters import reserve
from store.errors import Collision
from store.rows import (
    assessment_row,
    entry_rows,
    fold_key_row,
    incident_row,
    link_row,
    micros,
    outgoing_row,
    participant_row,
    signal_row,
    target_row,
)  # fmt: skip
from store.tables.incidents import assessments, incidents
from store.tables.outbox import deliveries, outbox
from store.tables.people import addresses, people
from store.tables.signals import fold_keys, signals
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values

_KEEP_LINK = (
    'INSERT INTO links ("from", "to", relation, since, until, author, note) VALUES (?, ?, ?, ?, ?, ?, ?)'
    " ON CONFLICT DO NOTHING"
)
_KEEP_PARTICIPANT = (
    "INSERT INTO participants (subject, person, team, role, since, until) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
_MOVE_KEYS = "UPDATE fold_keys SET incident = ?, version = version + 1 WHERE incident = ?"
_SPEND = (
    "INSERT INTO budgets (address, kind, hour, count) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (address, kind, hour) DO UPDATE SET count = budgets.count + excluded.count"
    " RETURNING address, kind, hour, count"
)
_SUPPRESS = (
    "UPDATE addresses SET suppressed_at = ?, reason = ? WHERE address = ? AND person = ? AND suppressed_at IS NULL"
)

_INCIDENT_COLUMNS = tuple(column.name for column in incidents.columns)
_CHANGING = tuple(name for name in _INCIDENT_COLUMNS if name not in ("id", "number", "opened_at"))
_CHANGING_AT = tuple(_INCIDENT_COLUMNS.index(name) for name in _CHANGING)
_KEY_COLUMNS = tuple(column.name for column in fold_keys.columns)
_TARGET_CHANGES = (
    "state", "due_at", "next_at", "length", "stop_event", "met_at", "paused_at", "warned", "step", "round",
)  # fmt: skip


class Rows(NamedTuple):
    """A working set, and what it adds to the hot tables as their rows; ``opened`` lacks its numbers."""

    working: Working
    keys: list[Row]
    opened: list[Row]
    signals: list[Row]
    assessments: list[Row]
    entries: list[Row]
    values: list[Row]
    targets: list[Row]
    outgoing: list[Row]


def rows_of(working: Working) -> Rows:
    """All rows that need no lock to be made."""
    chained = [entry_rows(entry) for entry in working.entries]
    return Rows(
        working,
        keys=sorted(fold_key_row(key) for key in working.new_keys.values()),
        opened=[_row(working, one, number=0, version=0) for one in working.opened.values()],
        signals=[signal_row(signal) for signal in working.signals],
        assessments=[assessment_row(*one) for one in working.assessments],
        entries=[entry for entry, _ in chained],
        values=[values for _, values in chained],
        targets=[target_row(target) for target in working.new_targets.values()],
        outgoing=[outgoing_row(_with_members(working, out)) for out in working.outgoing.values()],
    )


def save(connection: Connection, rows: Rows) -> None:
    """Write everything. Raises `Collision` when another writer was first."""
    working = rows.working
    insert_rows(connection, fold_keys, rows.keys)
    _change_keys(connection, working)
    insert_rows(connection, incidents, _numbered(connection, rows.opened))
    _change_incidents(connection, working)
    _save_people(connection, working)
    insert_rows(connection, signals, rows.signals)
    insert_rows(connection, assessments, rows.assessments)
    insert_rows(connection, timeline, rows.entries)
    insert_rows(connection, timeline_values, rows.values)
    insert_rows(connection, targets, rows.targets)
    _change_targets(connection, working)
    insert_rows(connection, outbox, rows.outgoing)
    _change_outbox(connection, working)
    add_rows(connection, _KEEP_LINK, sorted(link_row(link) for link in working.links))
    _spend(connection, working)


def _change_keys(connection: Connection, working: Working) -> None:
    changed = []
    for name, version in working.changed_keys.items():
        row = fold_key_row(working.keys[name], version=version + 1)
        changed.append((name, version, *row[1:]))
    _guarded("fold_keys", update_rows(
        connection, fold_keys, rows=changed, match=("key", "version"), assign=_KEY_COLUMNS[1:]
    ), len(changed))  # fmt: skip
    repeats = [
        (name, working.keys[name].version, to_micros(repeat.last_seen_at), repeat.receipt, repeat.times)
        for name, repeat in working.repeats.items()
    ]
    _guarded("fold_keys", update_rows(
        connection, fold_keys, rows=repeats, match=("key", "version"), assign=("last_seen_at", "receipt"),
        add=("signals",),
    ), len(repeats))  # fmt: skip
    write_rows(connection, _MOVE_KEYS, [(end, start) for start, end in working.moved_keys])


def _numbered(connection: Connection, opened: list[Row]) -> list[Row]:
    """New records with their numbers, which are taken only now: a turn that is lost takes none."""
    numbers = reserve(connection, "number", len(opened)) if opened else ()
    return [(row[0], number, *row[2:]) for number, row in zip(numbers, opened, strict=True)]


def _change_incidents(connection: Connection, working: Working) -> None:
    changed = []
    for record, version in working.changed.items():
        incident = working.incidents[record]
        row = _row(working, incident, number=incident.number, version=version + 1)
        changed.append((record, version, *(row[place] for place in _CHANGING_AT)))
    _guarded("incidents", update_rows(
        connection, incidents, rows=changed, match=("id", "version"), assign=_CHANGING
    ), len(changed))  # fmt: skip


def _row(working: Working, incident: Incident, *, number: int, version: int) -> Row:
    head = working.heads.get(incident.id, (0, FIRST_PREV))
    due_at = earliest_due(working.targets[incident.id])
    return incident_row(
        incident, number=number, version=version, updated_at=working.now, head=head, due_at=due_at
    )  # fmt: skip


def _save_people(connection: Connection, working: Working) -> None:
    new = sorted(working.new_people, key=lambda person: person.address or "")
    insert_rows(connection, people, [(one.id, one.handle, one.name, one.language, None, None) for one in new])
    insert_rows(connection, addresses, [(one.address, one.id, None, None, None) for one in new if one.address])
    add_rows(connection, _KEEP_PARTICIPANT, sorted(participant_row(one) for one in working.new_participants))
    now = to_micros(working.now)
    bounced = sorted(working.suppressed.items())
    write_rows(connection, _SUPPRESS, [(now, reason, *whose) for whose, reason in bounced])


def _change_targets(connection: Connection, working: Working) -> None:
    rows = [(target.id, *_target_changes(target)) for target in working.changed_targets.values()]
    update_rows(connection, targets, rows=rows, match=("id",), assign=_TARGET_CHANGES)


def _target_changes(target: Target) -> Row:
    return (
        str(target.state), to_micros(target.due_at), micros(target.next_at), int(target.length.total_seconds()),
        target.stop_event, micros(target.met_at), micros(target.paused_at), target.warned, target.step, target.round,
    )  # fmt: skip


def _change_outbox(connection: Connection, working: Working) -> None:
    grown = [
        (notice, "waiting", count) for notice, count in working.notice_members.items() if notice not in working.outgoing
    ]
    _guarded("outbox", update_rows(
        connection, outbox, rows=grown, match=("id", "state"), add=("members",)
    ), len(grown))  # fmt: skip
    reports = [
        (number, row, to_micros(working.now), "failed", dsn, reason) for number, row, dsn, reason in working.bounced
    ]
    insert_rows(connection, deliveries, reports)


def _spend(connection: Connection, working: Working) -> None:
    """Count what is told against its budgets; last, for every other turn waits at the line of all mail together.

    A turn that knew of less than others have spent meanwhile may have gone too far, and is taken again.
    """
    spent = {_budget_key(key): count for key, count in working.spending.items()}
    most = {_budget_key(key): most for key, most in working.most.items() if key.address in working.budgeted}
    for *key, count in added_rows(connection, _SPEND, sorted((*key, count) for key, count in spent.items())):
        if count > most.get(tuple(key), count):
            raise Collision("Another writer took what was left of a budget meanwhile; load again.")


def _with_members(working: Working, out: Outgoing) -> Outgoing:
    count = working.notice_members.get(out.id, 0)
    return replace(out, members=count) if count else out


def _budget_key(key: BudgetKey) -> Row:
    return (key.address, key.kind, to_micros(key.slot))


def _guarded(table: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise Collision(f"Another writer changed {wanted - found} of {wanted} rows of {table} meanwhile; load again.")
