"""The JSON of records: keys are the words of the vocabulary, instants have a zone, spans are in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from incidents.person import Person
    from incidents.targets import Target
    from store.listing.incidents import IncidentLine, IncidentShown
    from store.listing.outbox import NotificationLine, NotificationShown
    from store.listing.pages import Page
    from store.listing.signals import ReceiptShown, SignalLine
    from store.listing.timeline import EntryShown


def page_shape(page: Page[Any], shape: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """A list: its items, and the cursor of the next page or null."""
    return {"items": [shape(item) for item in page.items], "next": page.next}


def incident_shape(line: IncidentLine) -> dict[str, Any]:
    """An incident as lists and changes give it."""
    one, severity, due = line.incident, line.severity, line.due
    return {
        "ref": one.ref,
        "kind": one.kind,
        "type": one.type,
        "title": one.title,
        "state": one.state,
        "priority": one.priority,
        "severity": {
            "level": severity.level, "probabilities": severity.probabilities, "needs_person": severity.needs_person,
        },
        "impact": one.impact,
        "urgency": one.urgency,
        "category": one.category,
        "service": one.service,
        "team": one.team,
        "assignee": who(line.assignee),
        "source": one.source,
        "requester": None if line.requester is None else _contact(line.requester),
        "opened_at": one.opened_at,
        "acknowledged_at": one.acknowledged_at,
        "restored_at": one.restored_at,
        "resolved_at": one.resolved_at,
        "closed_at": one.closed_at,
        "updated_at": one.updated_at,
        "due_at": None if due is None else due.due_at,
        "signals": line.signals,
        "labels": dict(one.labels),
    }  # fmt: skip


def shown_shape(shown: IncidentShown) -> dict[str, Any]:
    """An incident with all that hangs on it."""
    one = shown.line.incident
    return {
        **incident_shape(shown.line),
        "tier": one.tier,
        "confidential": one.confidential,
        "acknowledged_by": who(shown.acknowledged_by),
        "resolution": one.resolution,
        "reopens": one.reopens,
        "firing": one.firing,
        "resource": one.resource,
        "url": one.url,
        "group_key": one.group_key,
        "mailbox": one.mailbox,
        "targets": [target_shape(target) for target in shown.targets],
        "participants": [
            {
                "role": taking.role, "person": None if taking.person is None else _contact(taking.person),
                "team": taking.team or None, "since": taking.since,
            }
            for taking in shown.people
        ],
        "links": [
            {
                "relation": link.relation, "direction": "to" if link.outward else "from", "ref": link.ref,
                "title": link.title, "since": link.since, "note": link.note,
            }
            for link in shown.related
        ],
        "fold_keys": [dict(key) for key in shown.fold_keys],
    }  # fmt: skip


def target_shape(target: Target) -> dict[str, Any]:
    """One clock of a record."""
    return {
        "name": target.name,
        "state": target.state,
        "started_at": target.started_at,
        "due_at": target.due_at,
        "met_at": target.met_at,
        "paused_at": target.paused_at,
        "length_seconds": int(target.length.total_seconds()),
        "calendar": target.calendar,
        "step": target.step,
        "round": target.round,
    }


def entry_shape(entry: EntryShown) -> dict[str, Any]:
    """One entry of a timeline."""
    return {
        "seq": entry.seq,
        "occurred_at": entry.occurred_at,
        "recorded_at": entry.recorded_at,
        "late": entry.late,
        "kind": entry.kind,
        "author": who(entry.author),
        "values": dict(entry.values),
        "erased": {name: dict(why) for name, why in entry.erased.items()},
    }


def signal_shape(line: SignalLine) -> dict[str, Any]:
    """A signal, or a receipt that none was made of."""
    return {
        "id": line.id,
        "name": line.name,
        "receipt": line.receipt,
        "source": line.source,
        "received_at": line.received_at,
        "key": line.key,
        "status": line.status,
        "state": line.state,
        "disposition": line.disposition,
        "incident": line.incident,
        "title": line.title,
        "reason": line.reason,
        "repeats": line.repeats,
        "error": line.error,
    }


def receipt_shape(receipt: ReceiptShown) -> dict[str, Any]:
    """A receipt without its body."""
    return {
        "id": receipt.id,
        "name": f"receipt:{receipt.id}",
        "source": receipt.source,
        "format": receipt.format,
        "received_at": receipt.received_at,
        "envelope": dict(receipt.envelope),
        "content": receipt.content,
        "size_bytes": receipt.size,
        "state": receipt.state,
        "attempts": receipt.attempts,
        "counts": dict(receipt.counts),
        "error": receipt.error,
        "worked_at": receipt.worked_at,
    }


def notification_shape(line: NotificationLine) -> dict[str, Any]:
    """A notification."""
    return {
        "id": line.id,
        "subject": line.subject,
        "kind": line.kind,
        "recipient": {"name": line.person, "address": line.recipient},
        "channel": line.channel,
        "priority": f"P{line.rank}",
        "state": line.state,
        "reason": line.reason,
        "attempts": line.attempts,
        "message_id": line.message_id or None,
        "created_at": line.created_at,
        "next_at": line.next_at,
        "expires_at": line.expires_at,
        "notice": line.notice,
        "members": line.members,
    }


def told_shape(shown: NotificationShown, text: str | None) -> dict[str, Any]:
    """A notification with its attempts and the text of its mail."""
    attempts = [
        {"at": one.at, "outcome": one.outcome, "code": one.code, "text": one.text} for one in shown.attempts
    ]
    return {**notification_shape(shown.line), "facts": dict(shown.facts), "deliveries": attempts, "text": text}


def who(person: Person | None) -> str | None:
    """A person in one word: the handle of somebody who works here, else the name."""
    return None if person is None else person.handle or person.name


def _contact(person: Person) -> dict[str, str | None]:
    return {"name": person.name, "address": person.address}
