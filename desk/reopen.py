"""Reopen: it is not over after all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from desk.change import Cancel, Change, Start, TargetMove, said_by
from desk.errors import NoSuchMove
from desk.moving import check_move, check_role
from incidents.incident import DUPLICATE, Incident
from incidents.person import Author
from incidents.timeline import EntryKind, Values
from rules.policy import Policy, Promise


def reopen(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, reason: str, promises: list[Promise]
) -> Change:
    """Back to work: the end is undone, the promises run anew, and somebody has to say again that they have it."""
    check_role(incident, "reopen", by=by, policy=policy)
    if incident.resolution == DUPLICATE:
        raise NoSuchMove(f"{incident.ref} was merged into another record; work goes on there")
    if incident.state not in ("restored", "resolved", "closed"):
        raise NoSuchMove(f"{incident.ref} is {incident.state}: it is not over, so there is nothing to reopen")
    filled = {"assignee": str(incident.assignee or "-")}  # who had it has it again; nobody is no hindrance here
    check_move(incident, "working", by=by, at=at, policy=policy, filled=filled)
    values: Values = {"state": {"before": incident.state, "after": "working"}, "reason": reason}
    again = replace(
        incident, state="working", restored_at=None, resolved_at=None, closed_at=None, resolution=None,
        reopens=incident.reopens + 1,
    )  # fmt: skip
    moves: list[TargetMove] = [Cancel("close.auto")]
    if incident.state != "restored":
        again = replace(again, acknowledged_at=None, acknowledged_by=None)
        moves += [Start(f"sla.{promise.name}", promise.length, promise.calendar) for promise in promises]
    entry = said_by(by, EntryKind.REOPENED, values, at=at, visibility="public")
    return Change(again, at, entries=[entry], targets=moves)
