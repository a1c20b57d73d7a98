"""Restore and resolve: it works again; the business agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from desk.change import Cancel, Change, Meet, Resume, Start, TargetMove, said_by
from desk.errors import Invalid, Missing, NotAllowed
from desk.moving import check_move, check_role, waits_for_business
from incidents.effects import NoticeKind, Notify
from incidents.incident import Incident, Kind
from incidents.person import Author, Person
from incidents.timeline import Entry, EntryKind, Values
from rules.policy import Policy

SELF_HEALED = "self_healed"
NOTES = ("symptom", "cause", "fix", "check")
LEAST_JUSTIFICATION = 15


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person says at the end. ``waive`` is the reason to do without the business owner's word."""

    notes: Mapping[str, str]
    code: str = "solved"
    waive: str | None = None


def restore(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, text: str, to: Sequence[Person] = ()
) -> Change:
    """It works again, technically. Escalation stops; a machine's restore goes on to resolved where policy lets it."""
    check_role(incident, "restore", by=by, policy=policy)
    filled = {"assignee": str(incident.assignee or "")}
    check_move(incident, "restored", by=by, at=at, policy=policy, filled=filled)
    restored = replace(incident, state="restored", restored_at=at)
    entries = [_moved(incident, "restored", by=by, at=at, values={"text": text})]
    moves: list[TargetMove] = [Meet("sla.restore"), Meet("escalation."), Resume()]
    if not by.human and not waits_for_business(incident, policy):
        healed = replace(restored, state="resolved", resolved_at=at, resolution=SELF_HEALED)
        entries.append(_moved(restored, "resolved", by=by, at=at, values={"code": SELF_HEALED}))
        return Change(healed, at, entries=entries, targets=[*moves, *_ended(policy, incident.kind)])
    return Change(restored, at, entries=entries, targets=moves, notify=_tell(to, "restored", text))


def resolve(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, resolution: Resolution, to: Sequence[Person]
) -> Change:
    """It is over, and written down. An incident is restored on the way; a request needs its fix alone."""
    check_role(incident, "resolve", by=by, policy=policy)
    if waits_for_business(incident, policy):
        _check_waiver(incident, by=by, policy=policy, waive=resolution.waive)
    entries: list[Entry] = []
    moves: list[TargetMove] = [Meet("sla.restore"), Meet("escalation."), Meet("sla.respond")]
    before = incident
    if incident.kind == Kind.INCIDENT and incident.state != "restored":
        filled = {"assignee": str(incident.assignee or "")}
        check_move(incident, "restored", by=by, at=at, policy=policy, filled=filled)
        incident = replace(incident, state="restored", restored_at=at)
        entries.append(_moved(before, "restored", by=by, at=at, values={}))
    check_move(incident, "resolved", by=_cleared(by, resolution), at=at, policy=policy, filled=resolution.notes)
    resolved = replace(incident, state="resolved", resolved_at=at, resolution=resolution.code)
    values: Values = {"code": resolution.code, **{n: resolution.notes.get(n, "") for n in NOTES}}
    if resolution.waive:
        values["waived"] = resolution.waive
    entries.append(_moved(incident, "resolved", by=by, at=at, values=values))
    told = _tell(to, "resolved", resolution.notes.get("fix"))
    return Change(resolved, at, entries=entries, targets=[*moves, *_ended(policy, incident.kind)], notify=told)


def _check_waiver(incident: Incident, *, by: Author, policy: Policy, waive: str | None) -> None:
    if not by.human:
        return
    if waive is None:
        raise NotAllowed(
            f"{incident.ref} is {incident.priority}: the business owner has to confirm it. "
            "A manager may resolve it without, with --waive and the reason"
        )
    check_role(incident, "waive", by=by, policy=policy)
    if len(waive.strip()) < LEAST_JUSTIFICATION:
        raise Missing(f"Say why the confirmation is waived, in at least {LEAST_JUSTIFICATION} characters")


def _cleared(by: Author, resolution: Resolution) -> Author:
    """A waiver stands for the business owner's word in the check of who may make the move."""
    return replace(by, roles=by.roles | {"business_owner"}) if resolution.waive else by


def _moved(incident: Incident, end: str, *, by: Author, at: datetime, values: Mapping[str, Any]) -> Entry:
    said = {"state": {"before": incident.state, "after": end}, **values}
    return said_by(by, EntryKind.CHANGED, said, at=at, visibility="public")


def _ended(policy: Policy, kind: str) -> list[TargetMove]:
    """What resolved means for the clocks: promises kept, and a time until it closes by itself."""
    return [Meet("sla.resolve"), Cancel("sla."), Start("close.auto", policy.lifecycles[kind].close_after)]


def _tell(to: Sequence[Person], event: str, text: str | None) -> list[Notify]:
    facts = {"event": event, "text": text}
    return [Notify(NoticeKind.STATUS, person.id, person.address, facts) for person in to if person.address]


def check_code(code: str) -> str:
    """A resolution code is one word of small letters, digits and underscores."""
    if not code.replace("_", "").isalnum() or not code.isascii() or code != code.lower():
        raise Invalid(f"{code!r} is no resolution code: write small letters, digits and underscores, such as solved")
    return code
