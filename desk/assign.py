"""Assign: to a person, to another team, or both."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from desk.change import Change, Participant, said_by
from desk.errors import Invalid
from desk.moving import check_role
from incidents.incident import Incident
from incidents.person import Author, Person
from incidents.timeline import EntryKind, Values
from rules.policy import Policy


def assign(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, to: Person | None, team: str | None, note: str = ""
) -> Change:
    """Give a record to ``to`` (a person who works here), to ``team``, or to both. A new record is then worked on."""
    check_role(incident, "assign", by=by, policy=policy)
    if to is None and team is None:
        raise Invalid("Say whom: a person's handle, a team, or both")
    if team is not None and team not in policy.teams:
        raise Invalid(f"There is no team {team!r}; policy knows {', '.join(sorted(policy.teams))}")
    owner = team or incident.team
    moved = replace(incident, team=owner, tier=_tier(incident, owner, policy))
    if to is not None:
        moved = replace(moved, assignee=to.id, state="working" if incident.state == "new" else incident.state)
    elif owner != incident.team:
        moved = replace(moved, assignee=None)
    values: Values = {
        "before": {"team": incident.team, "assignee": incident.assignee},
        "after": {"team": moved.team, "assignee": moved.assignee},
        "state": moved.state,
        "note": note,
    }
    entry = said_by(by, EntryKind.MOVED if owner != incident.team else EntryKind.CHANGED, values, at=at)
    joined = [] if to is None else [Participant(incident.id, to.id, "", "agent", at)]
    return Change(moved, at, entries=[entry], participants=joined)


def _tier(incident: Incident, team: str, policy: Policy) -> int:
    """The tier that a team has for the record's service; the present one where it has none."""
    service = policy.services.get(incident.service or "")
    owners = list(service.owners) if service is not None else []
    return owners.index(team) + 1 if team in owners else incident.tier
