"""Targets of the records in a working set: begun, met, cancelled, stopped, started again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from desk.change import Advance, Cancel, Meet, Pause, Resume, Start, TargetMove
from desk.working import Working
from incidents.targets import Target, TargetState, meet, part_of, pause, resume
from incidents.timeline import Entry, EntryKind
from kit.instants import stamp

#: Promises: what counts as a record's due instant, and stops while it waits for somebody else.
PROMISED = "sla."
_RUNNING = TargetState.RUNNING


def move_target(working: Working, subject: int, move: TargetMove, at: datetime) -> None:
    """Do to the targets of a record what a change decided."""
    _MOVES[type(move)](working, subject, move, at)


def earliest_due(targets: Iterable[Target]) -> datetime | None:
    """A record's due instant: the earliest of its running promises."""
    earliest = None
    for target in targets:  # every record that is saved comes by
        runs = target.state == _RUNNING and target.name.startswith(PROMISED)
        if runs and (earliest is None or target.due_at < earliest):
            earliest = target.due_at
    return earliest


def _start(working: Working, subject: int, move: Start, at: datetime) -> None:
    if any(target.name == move.name for target in working.targets[subject]):
        _cancel(working, subject, Cancel(move.name), at)
    due_at = next_at = at + move.length
    warn_at = working.desk.policy.warn_at
    if warn_at and move.name.startswith(PROMISED):
        next_at = at + part_of(move.length, min(warn_at))
    working.add_target(
        Target(
            working.ids.row(), subject, move.name, TargetState.RUNNING, at, due_at, next_at, move.length,
            calendar=move.calendar, start_event=working.last_seq(subject), step=move.step, round=move.round,
        )
    )  # fmt: skip


def _advance(working: Working, subject: int, move: Advance, at: datetime) -> None:
    del subject, at
    working.set_target(move.target)


def _meet(working: Working, subject: int, move: Meet, at: datetime) -> None:
    for target in working.live_targets(subject, move.name):
        working.set_target(meet(target, at, working.last_seq(subject)))


def _cancel(working: Working, subject: int, move: Cancel, at: datetime) -> None:
    del at
    for target in working.live_targets(subject, move.prefix):
        working.set_target(target._replace(state=TargetState.CANCELLED, next_at=None, paused_at=None))


def _pause(working: Working, subject: int, move: Pause, at: datetime) -> None:
    del move
    for target in working.live_targets(subject, PROMISED):
        if target.state == TargetState.RUNNING:
            working.set_target(pause(target, at))


def _resume(working: Working, subject: int, move: Resume, at: datetime) -> None:
    del move
    for target in working.live_targets(subject, PROMISED):
        if target.state == TargetState.PAUSED:
            moved = resume(target, at, working.desk.policy.warn_at)
            working.set_target(moved)
            values = {"name": target.name, "before": stamp(target.due_at), "after": stamp(moved.due_at)}
            working.write(subject, Entry(EntryKind.TARGET, working.desk.machine.person, values, at))


_MOVES: dict[type, Callable[[Working, int, Any, datetime], None]] = {
    Start: _start, Advance: _advance, Meet: _meet, Cancel: _cancel, Pause: _pause, Resume: _resume,
}
