"""Saving a working set: all that a turn decided, in one transaction, hot tables as tuples.

Fold keys come first, for there two nodes that open the same incident at once collide; everything is sorted by key.
What another writer changed since the load shows as a count that is too small, and the turn is taken again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from desk.clocks import earliest_due
from desk.working import Working
from incidents.effects import Outgoing
from incidents.incident import Incident
from incidents.targets import Target
from incidents.timeline import FIRST_PREV
from kit.instants import to_micros
from store.bulk import Row, add_rows, insert_rows, update_rows, write_rows
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


def save(connection: Connection, working: Working) -> None:
    """Write everything. Raises `Collision` when another writer was first."""
    _save_keys(connection, working)
    _save_incidents(connection, working)
    _save_people(connection, working)
    insert_rows(connection, signals, [signal_row(signal) for signal in working.signals])
    insert_rows(connection, assessments, [assessment_row(*one) for one in working.assessments])
    chained = [entry_rows(entry) for entry in working.entries]
    insert_rows(connection, timeline, [entry for entry, _ in chained])
    insert_rows(connection, timeline_values, [values for _, values in chained])
    _save_targets(connection, working)
    _save_outbox(connection, working)
    add_rows(connection, _KEEP_LINK, sorted(link_row(link) for link in working.links))


def _save_keys(connection: Connection, working: Working) -> None:
    insert_rows(connection, fold_keys, sorted(fold_key_row(key) for key in working.new_keys.values()))
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


def _save_incidents(connection: Connection, working: Working) -> None:
    numbers = iter(reserve(connection, "number", len(working.opened)) if working.opened else ())
    opened = [_row(working, one, number=next(numbers), version=0) for one in working.opened.values()]
    insert_rows(connection, incidents, opened)
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


def _save_targets(connection: Connection, working: Working) -> None:
    insert_rows(connection, targets, [target_row(target) for target in working.new_targets.values()])
    rows = [(target.id, *_target_changes(target)) for target in working.changed_targets.values()]
    update_rows(connection, targets, rows=rows, match=("id",), assign=_TARGET_CHANGES)


def _target_changes(target: Target) -> Row:
    return (
        str(target.state), to_micros(target.due_at), micros(target.next_at), int(target.length.total_seconds()),
        target.stop_event, micros(target.met_at), micros(target.paused_at), target.warned, target.step, target.round,
    )  # fmt: skip


def _save_outbox(connection: Connection, working: Working) -> None:
    new = [_with_members(working, out) for out in working.outgoing.values()]
    insert_rows(connection, outbox, [outgoing_row(out) for out in new])
    grown = [
        (notice, "waiting", count) for notice, count in working.notice_members.items() if notice not in working.outgoing
    ]
    _guarded("outbox", update_rows(
        connection, outbox, rows=grown, match=("id", "state"), add=("members",)
    ), len(grown))  # fmt: skip
    spent = [(*_budget_key(key.address, key.kind, key.slot), count) for key, count in working.spending.items()]
    add_rows(connection, _SPEND, sorted(spent))
    reports = [
        (number, row, to_micros(working.now), "failed", dsn, reason) for number, row, dsn, reason in working.bounced
    ]
    insert_rows(connection, deliveries, reports)


def _with_members(working: Working, out: Outgoing) -> Outgoing:
    count = working.notice_members.get(out.id, 0)
    return replace(out, members=count) if count else out


def _budget_key(address: str, kind: str, slot: datetime) -> Row:
    return (address, kind, to_micros(slot))


def _guarded(table: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise Collision(f"Another writer changed {wanted - found} of {wanted} rows of {table} meanwhile; load again.")
