"""How much automatic mail an address has had: the arithmetic of the limits in guarantee G8.

Mails are counted by slots of five minutes, and a slot counts until its end is past: so there is never one too many in
any hour or day, and a limit is at most five minutes stricter than it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from kit.instants import EPOCH

SLOT = timedelta(minutes=5)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def slot_of(instant: datetime) -> datetime:
    """The beginning of the slot that an instant is counted in."""
    return instant - (instant - EPOCH) % SLOT


def oldest_counted(now: datetime) -> datetime:
    """The slots that begin after this instant still count."""
    return now - _DAY - SLOT


def spent(by_slot: Mapping[datetime, int], now: datetime) -> tuple[int, int]:
    """How many in the last hour, and in the last day.

    After the clock was set back by little, the slots ahead are counted, too; after a longer way they say nothing.
    """
    near = [(abs(now - slot) - SLOT, count) for slot, count in by_slot.items()]
    return sum(count for far, count in near if far < _HOUR), sum(count for far, count in near if far < _DAY)
