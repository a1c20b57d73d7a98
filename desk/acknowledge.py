"""Acknowledge: somebody has it. An instant with a name, not a state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from desk.change import Change, Meet, said_by
from desk.moving import check_role
from incidents.incident import Incident
from incidents.person import Author
from incidents.timeline import EntryKind
from rules.policy import Policy

#: What waits for somebody to move.
WAITS_FOR_SOMEBODY = (Meet("sla.respond"), Meet("escalation."))


def acknowledge(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, assignable: bool, channel: str
) -> Change | None:
    """Record that ``by`` has it; None when somebody had it before, or nothing is left to do.

    A person's first also sets the assignee where none is set (``assignable``: the author works here), and a new
    record is then worked on. Escalation stops.
    """
    check_role(incident, "ack", by=by, policy=policy)
    if incident.acknowledged_at is not None or not incident.is_open:
        return None
    acknowledged = replace(incident, acknowledged_at=at, acknowledged_by=by.person)
    if by.human and assignable and incident.assignee is None:
        state = "working" if incident.state == "new" else incident.state
        acknowledged = replace(acknowledged, assignee=by.person, state=state)
    values = {"channel": channel, "assignee": acknowledged.assignee, "state": acknowledged.state}
    entry = said_by(by, EntryKind.ACKNOWLEDGED, values, at=at)
    return Change(acknowledged, at, entries=[entry], targets=WAITS_FOR_SOMEBODY)
