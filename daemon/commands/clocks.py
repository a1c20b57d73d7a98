"""Clocks in words: what is left, or by how much it is over."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from kit.durations import tell_duration

if TYPE_CHECKING:
    from incidents.targets import Target
    from store.listing.incidents import IncidentLine


def due_in_words(line: IncidentLine, now: datetime) -> str:
    """The next clock of a record: ``8 min to respond``, ``11 min over, respond``, ``stopped``."""
    due = line.due
    if due is None:
        return "stopped" if line.promises else ""
    return clock_in_words(due, now)


def clock_in_words(target: Target, now: datetime) -> str:
    """One running clock."""
    name = target.name.removeprefix("sla.")
    if now > target.due_at:
        return f"{tell_duration(now - target.due_at)} over, {name}"
    return f"{tell_duration(target.due_at - now)} to {name}"
