"""The hold: mail is composed and nothing is handed over until a person says so. G13."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.outbox import handover_round
from kit.instants import to_micros
from notifiers.spec import Handed, Outcome, Parcel
from store.engine import Store
from store.holding import (
    HoldReason,
    count_untold,
    hold_deliveries,
    hold_on_strange_host,
    load_hold,
    release_deliveries,
)
from store.nodes import beat

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


class Taker:
    """A relay that takes everything."""

    def __init__(self) -> None:
        self.taken: list[Parcel] = []

    async def hand_over(self, parcels: Sequence[Parcel]) -> list[Handed | None]:
        self.taken += parcels
        return [Handed(Outcome.DELIVERED, "250", "ok") for _ in parcels]

    def wind_down(self) -> None:
        """Nothing is on its way here."""


def _ready(store: Store, number: int, *, expires_at: datetime) -> None:
    values = (number, b"text", to_micros(NOW), to_micros(NOW), to_micros(expires_at))
    statement = (
        "INSERT INTO outbox (id, kind, person, recipient, channel, rank, message_id, facts, state, bytes, attempts,"
        " created_at, next_at, expires_at, members) VALUES (%s, 'reply', 1, 'a@example.com', 'mail', 3, 'm', '{}',"
        " 'ready', %s, 0, %s, %s, %s, 0)"
    )
    with store.writing() as connection:
        connection.exec_driver_sql(statement if store.kind == "postgresql" else statement.replace("%s", "?"), values)


def _hand_over(store: Store, relay: Any) -> Any:
    return asyncio.run(handover_round(store, relay, owner="node.outbox", now=NOW))


def test_nothing_is_handed_over_while_held_and_all_of_it_afterwards(store: Store) -> None:
    relay = Taker()
    _ready(store, 1, expires_at=NOW + timedelta(days=1))
    with store.writing() as connection:
        hold_deliveries(connection, HoldReason.BY_HAND, NOW)
    done = _hand_over(store, relay)
    assert (done.held, done.busy, relay.taken) == (True, False, [])
    with store.writing() as connection:
        stood = release_deliveries(connection)
    assert stood is not None
    assert (stood.since, stood.reason) == (NOW, HoldReason.BY_HAND)
    assert (_hand_over(store, relay).delivered, len(relay.taken)) == (1, 1)


def test_what_became_too_old_is_counted_and_not_sent(store: Store) -> None:
    relay = Taker()
    _ready(store, 1, expires_at=NOW)
    _ready(store, 2, expires_at=NOW + timedelta(days=1))
    with store.reading() as connection:
        assert count_untold(connection, NOW) == {"expired": 1, "in_time": 1}
    done = _hand_over(store, relay)
    assert (done.expired, done.delivered) == (1, 1)


def test_a_hold_that_stands_stays_as_it_is(store: Store) -> None:
    with store.writing() as connection:
        hold_deliveries(connection, HoldReason.RESTORED, LONG_AGO)
        again = hold_deliveries(connection, HoldReason.BY_HAND, NOW)
    assert (again.since, again.reason) == (LONG_AGO, HoldReason.RESTORED)


@pytest.mark.parametrize(("known", "alive_at", "held"), [
    ([], LONG_AGO, False),  # a new database
    (["desk-1a2b3c"], LONG_AGO, False),  # this host, after a stop
    (["other-1a2b3c"], LONG_AGO, True),  # a copy of the disk wakes elsewhere
    (["other-1a2b3c"], NOW - timedelta(seconds=20), False),  # a second node joins the first
    (["desk-2-1a2b3c"], LONG_AGO, True),  # a name that only begins alike
])  # fmt: skip
def test_deliveries_are_held_on_a_strange_host(
    store: Store, known: list[str], alive_at: datetime, *, held: bool
) -> None:
    with store.writing() as connection:
        for name in known:
            beat(connection, name, alive_at)
        assert hold_on_strange_host(connection, "desk-4d5e6f", NOW) is held
    with store.reading() as connection:
        stands = load_hold(connection)
    assert (stands is not None) is held
    assert stands is None or stands.reason is HoldReason.STRANGE_HOST
