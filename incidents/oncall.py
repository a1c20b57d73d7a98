"""Who answers when: plain rotations of people who take turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: The Monday that turns are counted from, so that everybody who reads a rotation gets the same answer.
FIRST_MONDAY = date(2024, 1, 1)


@dataclass(frozen=True, slots=True)
class Rotation:
    """``people`` (handles) take turns of ``days`` days (1 daily, 7 weekly), handed over at a weekday and a local time.

    ``weekday`` counts from Monday as 0. For a daily turn it only fixes whose turn the first day is.
    """

    name: str
    people: Sequence[str]
    days: int
    weekday: int
    at: time
    zone: ZoneInfo

    def on_call(self, now: datetime) -> str:
        """The handle whose turn it is at ``now``: hand-over happens at the local time, whatever DST does."""
        local = now.astimezone(self.zone)
        day = local.date() if local.time().replace(tzinfo=None) >= self.at else local.date() - timedelta(days=1)
        turns = (day - FIRST_MONDAY - timedelta(days=self.weekday)).days // self.days
        return self.people[turns % len(self.people)]
