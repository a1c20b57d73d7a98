"""Timers: one round fires what is due, the longest overdue first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from daemon.ids import Ids
from desk.context import Desk
from desk.take import Needs
from desk.timer import timer_fired
from desk.working import Working
from incidents.targets import LOOK_AGAIN, Target
from store.claims import Lease, claim_targets, defer_target, settle_targets
from store.engine import Store
from store.errors import LeaseLost, StoreError
from store.loading import load_budgets, load_people, load_records
from store.rows import target_of
from store.saving import rows_of, save
from store.write import in_turns

LEASE = timedelta(seconds=60)
#: Timers of one round; each may write a dozen rows.
_BATCH = 100
#: How often one batch is taken again because another writer was first.
MOST_COLLISIONS = 8


@dataclass(frozen=True, slots=True)
class Fired:
    """What one round fired, by target name, how late the latest was in seconds, and what could not be fired."""

    names: Sequence[str] = ()
    late_seconds: float = 0.0
    errors: Sequence[tuple[Target, Exception]] = ()


def timers_round(store: Store, desk: Desk, *, ids: Ids, owner: str, now: datetime) -> Fired:
    """Fire the targets whose instant has come; a batch that collides with another writer is taken again."""
    with store.writing() as connection:
        ids.top_up(connection)
        claimed = [target_of(row) for row in claim_targets(connection, Lease(owner, now, LEASE), _BATCH)]
    if not claimed:
        return Fired()
    errors: list[tuple[Target, Exception]] = []
    try:
        _fire(store, desk, claimed, ids=ids, owner=owner, now=now)
    except StoreError:
        raise
    except Exception:  # noqa: BLE001 - one record that can't be decided must not hold up the others' clocks
        errors = _fire_each(store, desk, claimed, ids=ids, owner=owner, now=now)
    late = max((now - target.next_at).total_seconds() for target in claimed if target.next_at is not None)
    return Fired([target.name for target in claimed], late, errors)


def _fire_each(
    store: Store, desk: Desk, claimed: Sequence[Target], *, ids: Ids, owner: str, now: datetime
) -> list[tuple[Target, Exception]]:
    """One by one; what fails is looked at again later, and told."""
    errors: list[tuple[Target, Exception]] = []
    for target in claimed:
        try:
            _fire(store, desk, [target], ids=ids, owner=owner, now=now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            errors.append((target, error))
            with store.writing() as connection:
                defer_target(connection, owner, target.id, now + LOOK_AGAIN)
    return errors


def _fire(store: Store, desk: Desk, claimed: Sequence[Target], *, ids: Ids, owner: str, now: datetime) -> None:
    def take() -> Callable[[Connection], None]:
        working = Working(desk, ids, now)
        with store.reading() as connection:
            load_records(connection, working, {target.subject for target in claimed})
            load_people(connection, working, Needs())
            load_budgets(connection, working)
        for target in claimed:
            present = next((one for one in working.targets[target.subject] if one.id == target.id), None)
            if present is not None and present.next_at is not None and present.next_at <= now:
                timer_fired(working, present)
        rows = rows_of(working)

        def keep(connection: Connection) -> None:
            save(connection, rows)
            settle_targets(connection, owner, [target.id for target in claimed])

        return keep

    with suppress(LeaseLost):  # another worker has them now
        in_turns(store, attempts=MOST_COLLISIONS, take=take)
