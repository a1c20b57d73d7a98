"""The only place that reads the wall clock, and notices when it was set; everything else is given ``now``."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: A clock that is this far from where it was before has been set; what keeps it in step moves it by less.
JUMP = timedelta(seconds=60)
#: How long after a jump something may still be saved that began before it: a turn is no longer than its lease.
UNSETTLED = timedelta(seconds=60)


def utc_now() -> datetime:
    """This instant, aware, UTC."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Seconds that nobody can set; a host that sleeps counts them too, and its clock is not wrong afterwards."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """The wall clock, beside one that nobody can set: whether it was, and by how much."""

    def __init__(self, *, wall: Callable[[], datetime] = utc_now, steady: Callable[[], float] = since_boot) -> None:
        self._wall, self._steady = wall, steady
        self._began_at = self._beginning()
        self._settled_at = 0.0

    def now(self) -> datetime:
        """This instant."""
        return self._wall()

    def jumped(self) -> timedelta | None:
        """By how much the clock was set forth, or back if below nothing; None when it was not."""
        moved = self._beginning() - self._began_at
        return moved if abs(moved) > JUMP else None

    def believe(self, jump: timedelta) -> None:
        """What the clock says is right from now on, ``jump`` included."""
        self._began_at += jump
        self._settled_at = self._steady() + UNSETTLED.total_seconds()

    @property
    def settled(self) -> bool:
        """Whether whatever began before the last jump is over."""
        return self._steady() >= self._settled_at

    def _beginning(self) -> datetime:
        """When the steady clock was nought, as the wall clock has it."""
        return self._wall() - timedelta(seconds=self._steady())
