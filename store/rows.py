"""Values as rows and rows as values, one pair a concept; a row is a tuple in the order of its table's columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row

from desk.change import Link, Participant
from desk.working import SignalRow
from incidents.assessment import Assessment, Decided, Severity
from incidents.effects import Outgoing
from incidents.episode import FoldKey
from incidents.incident import Incident
from incidents.targets import Target
from incidents.timeline import Sealed
from kit.instants import from_micros, to_micros
from store.tables.incidents import CLOSED, NO_CLOCK, RESOLVED

Values = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode


def document(value: Any) -> str:
    """One JSON document as text, compact."""
    return _encode(value).decode()


def micros(instant: datetime | None) -> int | None:
    """An instant as its column holds it."""
    return None if instant is None else to_micros(instant)


def instant(value: int | None) -> datetime | None:
    """A column's number as an instant."""
    return None if value is None else from_micros(value)


def incident_row(
    incident: Incident, *, number: int, version: int, updated_at: datetime, head: tuple[int, bytes],
    due_at: datetime | None = None,
) -> Values:  # fmt: skip
    """An incident as it is saved under a number and a version, with the end of its chain and its next clock."""
    return (
        incident.id, number, incident.kind, incident.type, incident.title, incident.state, incident.team,
        incident.assignee, incident.service, incident.category, int(incident.confidential), incident.retention_class,
        to_micros(incident.opened_at), to_micros(updated_at), micros(incident.closed_at), version,
        incident.hold_count, incident.priority, incident.severity, int(incident.needs_person), incident.impact,
        incident.urgency, incident.severity_hint, incident.floor, incident.tier, incident.source, incident.requester,
        incident.mailbox, incident.last_message_id, incident.resource, incident.url, document(dict(incident.labels)),
        incident.group_key, micros(incident.acknowledged_at), incident.acknowledged_by, micros(incident.restored_at),
        micros(incident.resolved_at), incident.resolution, incident.firing, incident.reopens, *head,
        _place(incident, due_at),
    )  # fmt: skip


def _place(incident: Incident, due_at: datetime | None) -> int:
    """Where an incident stands in the queue."""
    if incident.is_open:
        return NO_CLOCK if due_at is None else to_micros(due_at)
    return RESOLVED if incident.closed_at is None else CLOSED


def incident_of(row: Row[Any]) -> Incident:
    """An incident from its row."""
    return Incident(
        id=row.id, number=row.number, kind=row.kind, title=row.title, state=row.state, team=row.team,
        opened_at=from_micros(row.opened_at), updated_at=from_micros(row.updated_at), source=row.source,
        priority=row.priority, severity=row.severity, impact=row.impact, urgency=row.urgency, tier=row.tier,
        type=row.type, assignee=row.assignee, service=row.service, category=row.category, requester=row.requester,
        confidential=bool(row.confidential), retention_class=row.retention_class, needs_person=bool(row.needs_person),
        severity_hint=row.severity_hint, floor=row.floor, mailbox=row.mailbox, last_message_id=row.last_message_id,
        resource=row.resource, url=row.url, labels=json.loads(row.labels), group_key=row.group_key,
        acknowledged_at=instant(row.acknowledged_at), acknowledged_by=row.acknowledged_by,
        restored_at=instant(row.restored_at), resolved_at=instant(row.resolved_at), resolution=row.resolution,
        closed_at=instant(row.closed_at), firing=row.firing, reopens=row.reopens, hold_count=row.hold_count,
        version=row.version,
    )  # fmt: skip


def assessment_row(number: int, incident: int, assessment: Assessment) -> Values:
    """An assessment; its fields as ``{name: [value, reason, rule, model]}``."""
    severity = assessment.severity
    judged = {
        "level": severity.level, "probabilities": severity.probabilities, "needs_person": severity.needs_person,
    }  # fmt: skip
    return (
        number, incident, to_micros(assessment.at), document(dict(assessment.fields)), document(judged),
        assessment.policy_version,
    )  # fmt: skip


def assessment_of(row: Row[Any]) -> Assessment:
    """An assessment from its row."""
    fields = {name: Decided(*decided) for name, decided in json.loads(row.fields).items()}
    judged: Mapping[str, Any] = json.loads(row.severity)
    chances = judged["probabilities"]
    severity = Severity(judged["level"], None if chances is None else tuple(chances), judged["needs_person"])
    return Assessment(from_micros(row.at), fields, severity, row.policy_version)


def fold_key_row(key: FoldKey, *, version: int = 0) -> Values:
    """A fold key as it is saved under a version."""
    return (
        key.key, key.incident, to_micros(key.episode), key.status, micros(key.ended_at), key.receipt, key.digest,
        int(key.own_start), key.signals, to_micros(key.last_seen_at), version,
    )  # fmt: skip


def fold_key_of(row: Any) -> FoldKey:
    """A fold key from its row."""
    key, incident, episode, status, ended_at, receipt, digest, own_start, signals, last_seen_at, version = row
    return FoldKey(
        key, incident, from_micros(episode), status, receipt, bytes(digest), bool(own_start),
        from_micros(last_seen_at), signals, instant(ended_at), version,
    )  # fmt: skip


def signal_row(signal: SignalRow) -> Values:
    """A signal."""
    return (
        signal.id, signal.receipt, signal.source, signal.key, to_micros(signal.received_at), signal.title,
        str(signal.status), str(signal.disposition), signal.incident, signal.repeats,
        None if signal.reason is None else str(signal.reason),
    )  # fmt: skip


def entry_rows(entry: Sealed) -> tuple[Values, Values]:
    """An entry for ``timeline``, and its values and salts for ``timeline_values``."""
    values = {name: [entry.salts[name], value] for name, value in entry.values.items()}
    chained = (
        entry.subject, entry.seq, to_micros(entry.occurred_at), to_micros(entry.recorded_at), entry.kind,
        entry.author, document(dict(entry.leaves)), entry.hash,
    )  # fmt: skip
    return chained, (entry.subject, entry.seq, document(values))


def target_row(target: Target) -> Values:
    """A target, without a lease."""
    return (
        target.id, target.subject, target.name, str(target.state), to_micros(target.started_at),
        to_micros(target.due_at), micros(target.next_at), int(target.length.total_seconds()), target.calendar,
        target.start_event, target.stop_event, micros(target.met_at), micros(target.paused_at), target.warned,
        target.step, target.round, None, None,
    )  # fmt: skip


def target_of(row: Row[Any]) -> Target:
    """A target from its row."""
    return Target(
        row.id, row.subject, row.name, row.state, from_micros(row.started_at), from_micros(row.due_at),
        instant(row.next_at), timedelta(seconds=row.length), row.calendar, row.start_event, row.stop_event,
        instant(row.met_at), instant(row.paused_at), row.warned, row.step, row.round,
    )  # fmt: skip


def outgoing_row(out: Outgoing) -> Values:
    """A notification, without a lease."""
    return (
        out.id, out.subject, str(out.kind), out.person, out.recipient, out.channel, out.rank, out.message_id,
        document(dict(out.facts)), str(out.state), out.reason, out.body, out.attempts, to_micros(out.created_at),
        micros(out.next_at), to_micros(out.expires_at), out.notice, out.members, None, None,
    )  # fmt: skip


def link_row(link: Link) -> Values:
    """A relation that holds from now on."""
    return (link.start, link.end, link.relation, to_micros(link.since), None, link.author, link.note)


def participant_row(participant: Participant) -> Values:
    """Somebody who takes part from now on."""
    subject, person, team, role, since = participant
    return (subject, person, team, role, to_micros(since), None)
