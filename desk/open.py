"""Open a record: judge what is known, and put everything that follows in the same commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from desk.apply import apply
from desk.change import Change, Link, Participant, Start, TargetMove, said_by
from desk.escalate import start_escalation
from desk.restore import SELF_HEALED
from desk.working import Working
from incidents.assessment import Assessment
from incidents.incident import Incident
from incidents.person import Author, Person
from incidents.timeline import EntryKind, Value, Values
from rules.facts import Facts
from triage.assess import assess


class Opening(NamedTuple):
    """What a new record is opened from. ``values`` go into its first entry; ``ended_at`` opens it already resolved."""

    facts: Facts
    title: str
    author: Author
    values: Mapping[str, Value]
    hint: str | None = None
    requester: Person | None = None
    mailbox: str | None = None
    message_id: str | None = None
    url: str | None = None
    group_key: str | None = None
    firing: int = 0
    ended_at: datetime | None = None
    links: Sequence[tuple[int, str]] = ()  # record and relation


def open_record(working: Working, opening: Opening) -> Incident:
    """Open a record. Nobody is told of one that is over already."""
    assessment, facts = assess(opening.facts, hint=opening.hint, policy=working.desk.policy)
    incident = _new(working, opening, assessment)
    working.open(incident)
    at, author = opening.facts.at, opening.author.person
    moves: list[TargetMove] = [
        Start(f"sla.{promise.name}", promise.length, promise.calendar)
        for promise in working.desk.policy.promises(facts)
    ]
    if opening.ended_at is not None:
        moves = [Start("close.auto", working.desk.policy.lifecycles[incident.kind].close_after)]
    joined = [] if opening.requester is None else [Participant(incident.id, opening.requester.id, "", "requester", at)]
    opened = _opened(incident, opening, assessment)
    change = Change(
        incident, at,
        entries=[said_by(opening.author, EntryKind.OPENED, opened, at=at, visibility="public")],
        targets=moves,
        links=[Link(incident.id, other, relation, at, author) for other, relation in opening.links],
        participants=joined,
        assessment=assessment,
    )  # fmt: skip
    apply(working, change)
    if opening.ended_at is None:
        start_escalation(working, incident, working.desk.policy.path_for(facts), at)
    return incident


def _new(working: Working, opening: Opening, assessment: Assessment) -> Incident:
    facts, value = opening.facts, assessment.value
    ended_at = opening.ended_at
    return Incident(
        id=working.ids.record(),
        number=0,
        kind=str(value("kind")),
        title=opening.title,
        state="new" if ended_at is None else "resolved",
        team=str(value("team")),
        opened_at=facts.at,
        updated_at=working.now,
        source=facts.source,
        priority=str(value("priority")),
        severity=assessment.severity.level,
        impact=str(value("impact")),
        urgency=str(value("urgency")),
        tier=int(value("start_tier") or 1),
        service=value("service"),
        category=value("category"),
        requester=None if opening.requester is None else opening.requester.id,
        confidential=value("confidential") == "true",
        needs_person=assessment.severity.needs_person,
        severity_hint=opening.hint,
        floor=value("floor"),
        mailbox=opening.mailbox,
        last_message_id=opening.message_id,
        resource=facts.resource,
        url=opening.url,
        labels=facts.labels,
        group_key=opening.group_key,
        restored_at=ended_at,
        resolved_at=ended_at,
        resolution=None if ended_at is None else SELF_HEALED,
        firing=opening.firing,
    )


def _opened(incident: Incident, opening: Opening, assessment: Assessment) -> Values:
    """One entry carries every decided field with its reason and rule."""
    decided = {name: decided[:3] for name, decided in assessment.fields.items()}
    values: Values = {
        "title": incident.title,
        "source": incident.source,
        "decided": decided,
        "policy_version": assessment.policy_version,
        **opening.values,
    }
    if opening.requester is not None:
        values["requester"] = opening.requester.id
    return values
