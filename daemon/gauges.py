"""What stands in the store now, for the metrics: a few short queries over partial indexes, and two counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, func, select, text

from incidents.effects import WAKING
from kit.instants import to_micros
from store.holding import load_hold
from store.tables.incidents import NO_CLOCK, RESOLVED, incidents
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.targets import targets

# Written as text: SQLite finds a partial index only by the very words that made it.
_FRESH = text("state = 'waiting' AND lease_owner IS NULL")
_LEASED = text("lease_owner IS NOT NULL")
_QUARANTINED = text("state = 'quarantined'")
_TIMED = text("next_at IS NOT NULL")

_OPEN = (
    select(incidents.c.priority, func.count())
    .where(incidents.c.due_at <= NO_CLOCK)
    .group_by(incidents.c.priority)
)
_STANDS = case(
    (and_(targets.c.state == "running", targets.c.due_at <= bindparam("now")), "over"), else_=targets.c.state
).label("stands")
# Not a join: SQLite would go through all targets there ever were, and look whose record is open.
_CLOCKS = (
    select(targets.c.name, _STANDS, func.count())
    .where(
        targets.c.subject.in_(select(incidents.c.id).where(incidents.c.due_at <= RESOLVED)),
        targets.c.state.in_(("running", "paused")),
    )
    .group_by(targets.c.name, _STANDS)
)
_MICRO = 1e-6


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand. Ages are seconds; 0 where nothing waits."""

    inbox_waiting: int = 0
    inbox_oldest_seconds: float = 0.0
    quarantine_waiting: int = 0
    outbox_oldest_seconds: float = 0.0
    pages_oldest_seconds: float = 0.0
    outbox_held: int = 0
    timers_late_seconds: float = 0.0


class Counted(NamedTuple):
    """Open records by priority, and their clocks by name and how they stand."""

    open: Mapping[str, int]
    clocks: Mapping[tuple[str, ...], int]


class Pace:
    """How often something is done that may take long: after it, ``rest`` times as long nothing of it is done.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(self, rest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest, self._clock = rest, clock
        self._next = clock()

    def due(self) -> bool:
        """Whether it has rested enough."""
        return self._clock() >= self._next

    @contextmanager
    def taking(self) -> Iterator[None]:
        """While it is done."""
        begun = self._clock()
        yield
        ended = self._clock()
        self._next = ended + (ended - begun) * self._rest


def read_standing(connection: Connection, now: datetime) -> Standing:
    """How things stand at ``now``."""
    instant = to_micros(now)
    fresh, fresh_since = _fresh(connection)
    leased = select(func.count(), func.min(receipts.c.received_at)).where(_LEASED)
    held, held_since = connection.execute(leased).one()
    waits = [since for since in (fresh_since, held_since) if since is not None]
    due = select(func.min(targets.c.next_at)).where(_TIMED, targets.c.lease_owner.is_(None))
    unsent = select(func.min(outbox.c.created_at)).where(_TIMED)
    return Standing(
        inbox_waiting=fresh + held,
        inbox_oldest_seconds=_age(min(waits, default=None), instant),
        quarantine_waiting=connection.execute(
            select(func.count()).select_from(receipts).where(_QUARANTINED)
        ).scalar_one(),
        outbox_oldest_seconds=_age(connection.execute(unsent).scalar(), instant),
        pages_oldest_seconds=_age(connection.execute(unsent.where(outbox.c.kind.in_(WAKING))).scalar(), instant),
        outbox_held=int(load_hold(connection) is not None),
        timers_late_seconds=_age(connection.execute(due).scalar(), instant),
    )


def count_open(connection: Connection, now: datetime) -> Counted:
    """What is open at ``now``; every open record and clock is looked at."""
    clocks = connection.execute(_CLOCKS, {"now": to_micros(now)})
    return Counted(
        open={row[0]: row[1] for row in connection.execute(_OPEN)},
        clocks={(name, state): count for name, state, count in clocks},
    )


def _fresh(connection: Connection) -> tuple[int, int | None]:
    """Receipts that nobody has had yet, and when the first of them came; they are numbered by arrival."""
    count = connection.execute(select(func.count()).select_from(receipts).where(_FRESH)).scalar_one()
    first = select(receipts.c.received_at).where(_FRESH).order_by(receipts.c.id).limit(1)
    return count, connection.execute(first).scalar()


def _age(since: int | None, instant: int) -> float:
    return 0.0 if since is None else max(instant - since, 0) * _MICRO
