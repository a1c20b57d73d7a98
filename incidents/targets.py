"""Targets: what must happen to a subject by when. A target is its own timer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple


class TargetState(StrEnum):
    """Where a target stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    MET_LATE = "met_late"
    MISSED = "missed"
    CANCELLED = "cancelled"


#: When a target that could not be decided is looked at again.
LOOK_AGAIN = timedelta(minutes=5)
#: By how much the clocks of two nodes may differ, before one of them stands wrong.
SKEW = timedelta(minutes=1)
LIVE = (TargetState.RUNNING, TargetState.PAUSED)


class Target(NamedTuple):
    """One row: ``name`` is a dotted word such as ``sla.respond``; ``next_at`` the instant to look again.

    ``length`` is what was promised. ``warned`` counts the warnings that have gone out. ``step`` and ``round``
    belong to what waits without being promised (``escalation.standard``, ``close.auto``).
    """

    id: int
    subject: int
    name: str
    state: str
    started_at: datetime
    due_at: datetime
    next_at: datetime | None
    length: timedelta
    calendar: str = "always"
    start_event: int | None = None
    stop_event: int | None = None
    met_at: datetime | None = None
    paused_at: datetime | None = None
    warned: int = 0
    step: int = 0
    round: int = 0

    @property
    def live(self) -> bool:
        """Whether it still binds."""
        return self.state in LIVE


@lru_cache(maxsize=256)
def part_of(length: timedelta, share: float) -> timedelta:
    """A share of a length. Remembered, for policies name few, and the product with a fraction takes a microsecond."""
    return length * share


def next_look(target: Target, warn_at: Sequence[float]) -> datetime:
    """The instant of the next warning not yet given, else when it is due. ``warn_at`` are shares of the length."""
    for share in sorted(warn_at)[target.warned :]:
        return target.due_at - target.length * (1 - share)
    return target.due_at


def pause(target: Target, now: datetime) -> Target:
    """Stop the clock: what is left stays left."""
    return target._replace(state=TargetState.PAUSED, paused_at=now, next_at=None)


def resume(target: Target, now: datetime, warn_at: Sequence[float]) -> Target:
    """Start the clock again: the time paused is added to the due instant."""
    assert target.paused_at is not None
    due_at = target.due_at + (now - target.paused_at)
    moved = target._replace(state=TargetState.RUNNING, paused_at=None, due_at=due_at)
    return moved._replace(next_at=next_look(moved, warn_at))


def meet(target: Target, now: datetime, stop_event: int | None) -> Target:
    """It happened: in time or late. Time that the clock stood still does not count."""
    stood = timedelta() if target.paused_at is None else now - target.paused_at
    state = TargetState.MET if now <= target.due_at + stood else TargetState.MET_LATE
    return target._replace(state=state, met_at=now, next_at=None, paused_at=None, stop_event=stop_event)


def set_right(target: Target, now: datetime) -> Target:
    """A live target as it must be by a clock that was set: ``now`` is believed, whatever was before it.

    Nobody has more time left than was promised, and what began in the past is due no earlier than its length after
    that. So what was set while the clock stood ahead does not wait for that instant to come, and what was put back
    while it stood behind is not over at once.
    """
    if target.paused_at is not None:
        stopped_at = target.paused_at if target.paused_at <= now + SKEW else now
        left = min(target.due_at - target.paused_at, target.length)
        return target._replace(paused_at=stopped_at, due_at=stopped_at + left)
    due_at = target.due_at
    if due_at > now + target.length + SKEW:
        due_at = now + target.length
    elif target.started_at <= now:
        due_at = max(due_at, target.started_at + target.length)
    next_at = due_at if due_at > now else None
    if target.next_at is not None:
        next_at = min(target.next_at + (due_at - target.due_at), max(due_at, now + LOOK_AGAIN))
    return target._replace(due_at=due_at, next_at=next_at)
