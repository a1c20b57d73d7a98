"""Timers: one round fires what is due, the longest overdue first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.ids import Ids
from desk.context import Desk
from desk.take import Needs
from desk.timer import timer_fired
from desk.working import Working
from incidents.targets import Target
from store.claims import Lease, claim_targets, settle_targets
from store.engine import Store
from store.errors import Collision, LeaseLost
from store.loading import load_budgets, load_people, load_records
from store.rows import target_of
from store.saving import save

LEASE = timedelta(seconds=60)
#: Timers of one round; each may write a dozen rows.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Fired:
    """What one round fired, by target name, and how late the latest was, in seconds."""

    names: Sequence[str] = ()
    late_seconds: float = 0.0


def timers_round(store: Store, desk: Desk, *, ids: Ids, owner: str, now: datetime) -> Fired:
    """Fire the targets whose instant has come; a batch that collides is taken again one by one."""
    with store.writing() as connection:
        ids.top_up(connection)
        claimed = [target_of(row) for row in claim_targets(connection, Lease(owner, now, LEASE), _BATCH)]
    if not claimed:
        return Fired()
    try:
        _fire(store, desk, claimed, ids=ids, owner=owner, now=now)
    except Collision:
        for target in claimed:
            _fire_alone(store, desk, target, ids=ids, owner=owner, now=now)
    except LeaseLost:
        return Fired()
    late = max((now - target.next_at).total_seconds() for target in claimed if target.next_at is not None)
    return Fired([target.name for target in claimed], late)


def _fire_alone(store: Store, desk: Desk, target: Target, *, ids: Ids, owner: str, now: datetime) -> None:
    for _ in range(8):
        try:
            _fire(store, desk, [target], ids=ids, owner=owner, now=now)
        except Collision:
            continue
        except LeaseLost:
            pass
        return


def _fire(store: Store, desk: Desk, claimed: Sequence[Target], *, ids: Ids, owner: str, now: datetime) -> None:
    working = Working(desk, ids, now)
    with store.reading() as connection:
        load_records(connection, working, {target.subject for target in claimed})
        load_people(connection, working, Needs())
        load_budgets(connection, working)
    for target in claimed:
        present = next((one for one in working.targets[target.subject] if one.id == target.id), None)
        if present is not None and present.next_at is not None and present.next_at <= now:
            timer_fired(working, present)
    with store.writing() as connection:
        save(connection, working)
        settle_targets(connection, owner, [target.id for target in claimed])
