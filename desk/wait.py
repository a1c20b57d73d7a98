"""Wait: for the customer or the vendor; the promised clocks stop, and start again when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from desk.change import Change, Pause, Resume, said_by
from desk.errors import NoSuchMove
from desk.moving import check_move, check_role
from incidents.incident import Incident
from incidents.person import Author
from incidents.timeline import EntryKind, Values
from rules.policy import Policy


def wait(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, on: str, reason: str,
    reference: str | None = None, promise: str | None = None,
) -> Change:  # fmt: skip
    """Wait on ``customer`` or ``vendor``. ``reference`` and ``promise`` are the vendor's number and word."""
    check_role(incident, "wait", by=by, policy=policy)
    end = f"waiting_{on}"
    filled = {"vendor_reference": reference, "vendor_promise": promise, "assignee": str(incident.assignee or "")}
    check_move(incident, end, by=by, at=at, policy=policy, filled=filled)
    values: Values = {"state": {"before": incident.state, "after": end}, "reason": reason}
    values |= {name: value for name, value in filled.items() if value and name != "assignee"}
    clock = Pause() if policy.lifecycles[incident.kind].states[end].clock_stops else Resume()
    entry = said_by(by, EntryKind.CHANGED, values, at=at)
    return Change(replace(incident, state=end), at, entries=[entry], targets=[clock])


def resume(incident: Incident, *, by: Author, at: datetime, policy: Policy, reason: str) -> Change:
    """The wait is over: back to work."""
    check_role(incident, "wait", by=by, policy=policy)
    if not incident.state.startswith("waiting_"):
        raise NoSuchMove(f"{incident.ref} is {incident.state}: it waits for nobody")
    filled = {"assignee": str(incident.assignee or "-")}  # whoever has it goes on; nobody is no hindrance here
    check_move(incident, "working", by=by, at=at, policy=policy, filled=filled)
    values: Values = {"state": {"before": incident.state, "after": "working"}, "reason": reason}
    entry = said_by(by, EntryKind.CHANGED, values, at=at)
    return Change(replace(incident, state="working"), at, entries=[entry], targets=[Resume()])
