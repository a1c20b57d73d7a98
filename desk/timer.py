"""A timer fired: what a target means when its instant has come."""

from __future__ import annotations

from desk.apply import apply
from desk.change import Advance, Cancel, Change
from desk.close import close
from desk.errors import NoSuchMove
from desk.escalate import fire_escalation
from desk.facts import facts_of
from desk.working import Working
from incidents.effects import NoticeKind, Notify
from incidents.incident import Incident
from incidents.targets import Target, TargetState, next_look
from incidents.timeline import Entry, EntryKind, Values
from kit.instants import stamp


def timer_fired(working: Working, target: Target) -> None:
    """Do what is due at ``working.now`` for a target whose ``next_at`` has come; once, however late it is."""
    incident = working.incident(target.subject)
    if incident is None or incident.id != target.subject:
        working.set_target(target._replace(state=TargetState.CANCELLED, next_at=None))
    elif target.name.startswith("escalation."):
        fire_escalation(working, incident, target)
    elif target.name == "close.auto":
        _close(working, incident)
    else:
        _promise_due(working, incident, target)


def _close(working: Working, incident: Incident) -> None:
    """Resolved long enough: nothing more will be done."""
    try:
        change = close(
            incident, by=working.desk.machine, at=working.now, policy=working.desk.policy, reason="resolved long enough"
        )
    except NoSuchMove:  # it was reopened or closed by hand meanwhile
        change = Change(incident, working.now, targets=[Cancel("close.auto")])
    apply(working, change)


def _promise_due(working: Working, incident: Incident, target: Target) -> None:
    """A promise is near, or over. Warnings that have become due together are one; beside the breach they are none."""
    breached = working.now >= target.due_at
    if breached:
        moved = target._replace(next_at=None)
    else:
        warn_at = working.desk.policy.warn_at
        near = sum(target.due_at - target.length * (1 - share) <= working.now for share in warn_at)
        given = target._replace(warned=max(target.warned + 1, near))
        moved = given._replace(next_at=next_look(given, warn_at))
    values: Values = {"name": target.name, "breached": breached, "due_at": stamp(target.due_at)}
    entry = Entry(EntryKind.TARGET, working.desk.machine.person, values, working.now)
    told = _whom_to_warn(working, incident, values)
    apply(working, Change(incident, working.now, entries=[entry], targets=[Advance(moved)], notify=told))


def _whom_to_warn(working: Working, incident: Incident, values: Values) -> list[Notify]:
    """The assignee, else the owning team; only where policy has somebody told at all for such a record."""
    policy = working.desk.policy
    if policy.path_for(facts_of(incident, working.now)) is None:
        return []
    facts = {"target": values["name"], "due_at": values["due_at"], "breached": values["breached"]}
    assignee = working.people.get(incident.assignee or 0)
    if assignee is not None and assignee.address:
        return [Notify(NoticeKind.DEADLINE, assignee.id, assignee.address, facts)]
    mail = policy.teams[incident.team].mail if incident.team in policy.teams else None
    if mail is None:
        return []
    return [Notify(NoticeKind.DEADLINE, working.desk.team_people[mail].id, mail, facts)]
