"""A clock that was set: what stands further ahead than it can is brought back, so that nothing waits for years.

Whatever the clock said before, what it says now is believed. Done when a daemon begins, and after a jump; done again,
it finds nothing. What happened is not touched: an entry keeps the instant that it was written with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from incidents.targets import LIVE, SKEW, set_right
from kit.instants import to_micros
from store.bulk import update_rows
from store.engine import Store
from store.queue import place_again
from store.rows import micros, target_of
from store.steering import MAIL_EXPIRES
from store.tables.incidents import RESOLVED, incidents
from store.tables.instance import nodes
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.targets import targets

#: No lease is given for longer.
LONGEST_LEASE = timedelta(seconds=60)
#: No notification waits longer before it is tried again.
LONGEST_PAUSE = timedelta(hours=1)
_ROWS_AT_ONCE = 200


def believe_clock(store: Store, now: datetime, *, ahead: timedelta = timedelta()) -> Mapping[str, int]:
    """Bring back what a clock that stood wrong put too far ahead of ``now``; how many rows, by kind.

    ``ahead`` is by how much the clock has just jumped forth: what is still to be told is tried for as much longer,
    because the time for that is a length and no instant.
    """
    counts = Counter[str]()
    with store.writing() as connection:
        counts.update(leases=_bring_back_leases(connection, now), nodes=_bring_back_beats(connection, now))
    with store.reading() as connection:
        wrong, shift = _wrong_targets(connection, now), _shift(connection, now, ahead)
        untold = _wrong_notifications(connection, shift)
    counts["targets"] = _in_batches(store, wrong, partial(_set_targets_right, now=now))
    counts["notifications"] = _in_batches(store, untold, partial(_shift_notifications, shift=shift))
    return +counts


def _in_batches(store: Store, ids: Sequence[int], change: Callable[[Connection, Sequence[int]], int]) -> int:
    """So many rows at once as a short transaction can change."""
    changed = 0
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        with store.writing() as connection:
            changed += change(connection, ids[start : start + _ROWS_AT_ONCE])
    return changed


def _bring_back_leases(connection: Connection, now: datetime) -> int:
    """A lease of the future would keep a row from everybody until then."""
    changed = 0
    for table in (receipts, targets, outbox):
        leased, far = table.c.lease_owner.is_not(None), table.c.lease_until > to_micros(now + LONGEST_LEASE + SKEW)
        until = update(table).where(leased, far).values(lease_until=to_micros(now + LONGEST_LEASE))
        changed += connection.execute(until).rowcount
    return changed


def _bring_back_beats(connection: Connection, now: datetime) -> int:
    """A beat of the future would have a node counted as alive until then."""
    far = update(nodes).where(nodes.c.alive_at > to_micros(now + SKEW))
    return connection.execute(far.values(alive_at=to_micros(now))).rowcount


# ---------------------------------------------------------------------- targets


def _wrong_targets(connection: Connection, now: datetime) -> list[int]:
    """Targets that still bind an open record and can't be as they are."""
    live = targets.c.state.in_([str(state) for state in LIVE])
    open_records = select(incidents.c.id).where(incidents.c.due_at <= RESOLVED)
    rows = connection.execute(select(targets).where(targets.c.subject.in_(open_records), live).order_by(targets.c.id))
    return [target.id for target in map(target_of, rows) if set_right(target, now) != target]


def _set_targets_right(connection: Connection, ids: Sequence[int], *, now: datetime) -> int:
    rows = connection.execute(select(targets).where(targets.c.id.in_(ids)).with_for_update()).all()
    right = [set_right(target, now) for target in map(target_of, rows) if target.live]
    changed = [(one.id, to_micros(one.due_at), micros(one.next_at), micros(one.paused_at)) for one in right]
    count = update_rows(connection, targets, rows=changed, match=("id",), assign=("due_at", "next_at", "paused_at"))
    place_again(connection, {one.subject for one in right})
    return count


# ---------------------------------------------------------------------- what is still to be told


class _Shift(NamedTuple):
    """How notifications move, in microseconds: ``back`` those that were made after ``now``."""

    now: int
    back: int
    ahead: int

    def of(self, created_at: int, next_at: int, expires_at: int) -> tuple[int, int, int]:
        """The three instants as they must be; those made in the future keep their order."""
        back = self.back if created_at > self.now + SKEW // _TICK else 0
        next_at = min(next_at - back, self.now + LONGEST_PAUSE // _TICK)
        expires_at = min(expires_at - back + self.ahead, self.now + MAIL_EXPIRES // _TICK)
        return created_at - back, next_at, expires_at


_TICK = timedelta(microseconds=1)
_INSTANTS = (outbox.c.created_at, outbox.c.next_at, outbox.c.expires_at)
_UNTOLD = outbox.c.next_at.is_not(None)


def _shift(connection: Connection, now: datetime, ahead: timedelta) -> _Shift:
    at = to_micros(now)
    newest = connection.execute(select(func.max(outbox.c.created_at)).where(_UNTOLD)).scalar()
    return _Shift(at, max((newest or at) - at, 0), max(ahead, timedelta()) // _TICK)


def _wrong_notifications(connection: Connection, shift: _Shift) -> list[int]:
    rows = connection.execute(select(outbox.c.id, *_INSTANTS).where(_UNTOLD))  # sorted here: by id SQLite reads all
    return sorted(number for number, *instants in rows if shift.of(*instants) != tuple(instants))


def _shift_notifications(connection: Connection, ids: Sequence[int], *, shift: _Shift) -> int:
    untold = select(outbox.c.id, *_INSTANTS).where(outbox.c.id.in_(ids), _UNTOLD).with_for_update()
    rows = [(number, *shift.of(*instants)) for number, *instants in connection.execute(untold).all()]
    return update_rows(
        connection, outbox, rows=rows, match=("id",), assign=tuple(column.name for column in _INSTANTS)
    )
