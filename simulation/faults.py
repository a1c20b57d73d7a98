"""A store whose writes can be struck: the process dies, another is faster, or the database is away.

The product has no crash hooks; the simulation composes it with this store. A death is no `Exception`, so nothing in
the product can catch it, as nothing catches a kill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from sqlalchemy import Connection

from simulation.events import Point
from store.engine import Store, lock_path
from store.errors import OutcomeUnknown, StoreUnavailable
from store.write import Writing


class Crash(BaseException):
    """The process is dead."""

    def __init__(self, point: Point) -> None:
        super().__init__(point)
        self.point = point


@dataclass
class Faults:
    """What will strike: the fault and after how many writes. ``struck`` tells what happened since it was last read."""

    armed: list[tuple[int, Point]] = field(default_factory=list)
    meanwhile: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    struck: list[Point] = field(default_factory=list)
    held_seconds: float = 0.015  # as the product is told, for how it adapts must not depend on this machine
    writes: int = 0

    def arm(self, write: int, point: Point) -> None:
        """Strike the ``write``-th write from now on, 1 being the next."""
        self.armed.append((self.writes + write, point))

    def interrupt(self, write: int, act: Callable[[], None]) -> None:
        """Let another writer be first, just before the ``write``-th write from now on."""
        self.meanwhile.append((self.writes + write, act))

    def next_write(self) -> Point | None:
        """What strikes the write that begins now, once others have written who are faster."""
        self.writes += 1
        if self.meanwhile:
            self._interrupted()
        due = [one for one in self.armed if one[0] <= self.writes]
        if not due:
            return None
        self.armed.remove(due[0])
        self.struck.append(due[0][1])
        return due[0][1]

    def _interrupted(self) -> None:
        """Let those write first whose turn it is; nobody interrupts them."""
        now, waiting, self.meanwhile = self.writes, self.meanwhile, []
        for write, act in waiting:
            if write <= now:
                act()
        self.meanwhile = [one for one in waiting if one[0] > now]


class StruckWriting(Writing):
    """One write that may be struck."""

    def __init__(self, store: Store, faults: Faults) -> None:
        super().__init__(store.engine, lock_path(store.path) if store.path else None)
        self._faults = faults
        self._strike: Point | None = None

    def __enter__(self) -> Connection:
        self._strike = self._faults.next_write()
        if self._strike is Point.BEFORE:
            raise Crash(Point.BEFORE)
        if self._strike is Point.AWAY:
            raise StoreUnavailable
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._strike is Point.INSIDE:
            crash = Crash(Point.INSIDE)
            super().__exit__(Crash, crash, None)
            raise crash
        super().__exit__(kind, error, traceback)
        self.held_seconds = self._faults.held_seconds
        if kind is None and self._strike is Point.AFTER:
            raise Crash(Point.AFTER)
        if kind is None and self._strike is Point.UNKNOWN:
            raise OutcomeUnknown


@dataclass(frozen=True, slots=True)
class StruckStore(Store):
    """The product's store with `StruckWriting` for its writes."""

    faults: Faults = field(default_factory=Faults)

    def writing(self) -> Writing:
        """A write transaction that may be struck."""
        return StruckWriting(self, self.faults)
