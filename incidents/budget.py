"""How much automatic mail an address has had: the arithmetic of the limits in guarantee G8."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

_DAY = timedelta(hours=24)


def hour_of(instant: datetime) -> datetime:
    """The hour that an instant is counted in."""
    return instant.replace(minute=0, second=0, microsecond=0)


def spent(by_hour: Mapping[datetime, int], now: datetime) -> tuple[int, int]:
    """How many in this hour, and in the last 24 hours.

    After the clock was set back by little, the hours ahead are counted, too; after a longer way they say nothing.
    """
    this_hour = hour_of(now)
    return by_hour.get(this_hour, 0), sum(count for hour, count in by_hour.items() if abs(this_hour - hour) < _DAY)
