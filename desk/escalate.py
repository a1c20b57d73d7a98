"""Escalation: who is told next, until somebody acknowledges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from desk.apply import apply
from desk.change import Advance, Change, Meet, Start, TargetMove
from desk.working import Working
from incidents.effects import NoticeKind, Notify
from incidents.escalation import Due, Path, due
from incidents.incident import Incident
from incidents.targets import Target, TargetState
from incidents.timeline import Entry, EntryKind, Values
from kit.instants import stamp
from rules.policy import Told


def start_escalation(working: Working, incident: Incident, path: Path | None, at: datetime) -> None:
    """Begin a path; a first step that is due at once fires in the same commit as what it is about."""
    if path is None:
        return
    first = path.steps[0].after
    apply(working, Change(incident, at, targets=[Start(f"escalation.{path.name}", first)]))
    if at + first <= working.now:
        for target in working.live_targets(incident.id, f"escalation.{path.name}"):
            fire_escalation(working, incident, target)


def fire_escalation(working: Working, incident: Incident, target: Target) -> None:
    """Fire the step that is due. A step that reaches nobody goes on to the next at once."""
    path = working.desk.policy.paths.get(target.name.removeprefix("escalation."))
    if path is None or not incident.is_open:
        apply(working, Change(incident, working.now, targets=[Meet(target.name)]))
        return
    step, round_, planned = min(target.step, len(path.steps) - 1), target.round, target.due_at
    entries: list[Entry] = []
    notify: list[Notify] = []
    for _ in range(len(path.steps)):
        fired = due(path, step=step, round=round_, planned=planned, now=working.now)
        told = _told(working, incident, path.steps[fired.step].tell)
        entries.append(_entry(working, path, fired, told))
        notify += _pages(working, incident, path=path, fired=fired, told=told)
        if told or fired.next_at is None:
            break
        step, round_, planned = fired.next_step, fired.next_round, working.now
    moves: list[TargetMove] = [Advance(_advanced(target, fired, working.now))]
    apply(working, Change(incident, working.now, entries=entries, targets=moves, notify=notify))


def _advanced(target: Target, fired: Due, now: datetime) -> Target:
    """The target after a step: the next one's instant and the wait for it, or nothing more to do."""
    if fired.next_at is None:
        return target._replace(state=TargetState.MISSED, next_at=None, step=fired.step, round=fired.round)
    return target._replace(
        step=fired.next_step, round=fired.next_round, due_at=fired.next_at, next_at=fired.next_at,
        length=fired.next_at - now,
    )  # fmt: skip


def _told(working: Working, incident: Incident, phrase: str) -> Sequence[Told]:
    return working.desk.policy.tell(phrase, service=incident.service, tier=incident.tier, now=working.now)


def _entry(working: Working, path: Path, fired: Due, told: Sequence[Told]) -> Entry:
    step = path.steps[fired.step]
    values: Values = {
        "path": path.name,
        "step": fired.step + 1,
        "round": fired.round + 1,
        "tell": step.tell,
        "told": [working.desk.person_told(one).id for one in told],
        "missed": [missed + 1 for missed in fired.missed],
    }
    if step.because:
        values["because"] = step.because
    return Entry(EntryKind.ESCALATED, working.desk.machine.person, values, working.now)


def _pages(
    working: Working, incident: Incident, *, path: Path, fired: Due, told: Sequence[Told]
) -> list[Notify]:
    following = path.steps[fired.next_step] if fired.next_at is not None else None
    facts: dict[str, Any] = {
        "step": fired.step + 1,
        "path": path.name,
        "because": path.steps[fired.step].because or None,
        "next": following.tell if following is not None else None,
        "next_at": stamp(fired.next_at) if fired.next_at is not None else None,
        "signals": max(incident.firing, 1),
    }
    return [
        Notify(NoticeKind.ESCALATION, working.desk.person_told(one).id, one.address, {**facts, "why": one.phrase})
        for one in told
    ]
