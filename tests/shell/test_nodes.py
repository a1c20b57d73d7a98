"""Nodes on one database: who fell silent is found without comparing clocks, and what it had is put back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from daemon.nodes import SILENCE, Nodes
from daemon.outbox import handover_round
from daemon.worker import Due
from incidents.effects import Outgoing
from notifiers.spec import Handed, Outcome, Parcel
from store.bulk import insert_rows
from store.claims import Lease, claim_outbox, load_owners
from store.engine import Store
from store.nodes import beat, node_of
from store.rows import outgoing_row
from store.tables.outbox import outbox

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
HERE, THERE = "one.example.com-aaaaaa", "two.example.com-bbbbbb"
YES = Handed(Outcome.DELIVERED, "250", "taken")


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def put(store: Store, count: int) -> None:
    rows = [
        Outgoing(
            number, None, "status", 7, "ana@example.com", 3, f"t.{number}@example.com", {}, "ready", NOW, NOW,
            NOW + timedelta(days=5), body=b"Subject: x\r\n\r\n",
        )
        for number in range(1, count + 1)
    ]  # fmt: skip
    with store.writing() as connection:
        insert_rows(connection, outbox, [outgoing_row(one) for one in rows])


def claim(store: Store, owner: str, *, now: datetime = NOW) -> list[int]:
    with store.writing() as connection:
        lease = Lease(owner, now, timedelta(seconds=60))
        return [row.id for row in claim_outbox(connection, lease, state="ready", limit=100)]


def say_alive(store: Store, node: str, now: datetime) -> None:
    with store.writing() as connection:
        beat(connection, node, now)


def test_what_a_silent_node_had_is_put_back_within_half_a_minute(store: Store) -> None:
    """Fault 100."""
    clock = Clock()
    here = Nodes(HERE, clock=clock)
    put(store, 2)
    say_alive(store, THERE, NOW)
    claim(store, f"{THERE}.outbox")
    released: list[str] = []
    while not released and clock.at < 1030:
        released = here.round(store, NOW)
        clock.at += 5
    assert released == [f"{THERE}.outbox"]
    assert clock.at <= 1000 + SILENCE + 5
    assert claim(store, f"{HERE}.outbox") == [1]  # a suspect is taken alone


@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(hours=3)])
def test_a_node_whose_clock_is_wrong_is_alive_while_it_beats(store: Store, skew: timedelta) -> None:
    clock = Clock()
    here = Nodes(HERE, clock=clock)
    put(store, 1)
    claim(store, f"{THERE}.1.1")
    for second in range(0, 60, 5):
        say_alive(store, THERE, NOW + skew + timedelta(seconds=second))
        assert here.round(store, NOW) == []
        clock.at += 5
    with store.reading() as connection:
        assert load_owners(connection, NOW) == {f"{THERE}.1.1"}


def test_a_node_leaves_its_own_work_alone_however_long_it_stood_still(store: Store) -> None:
    clock = Clock()
    here = Nodes(HERE, clock=clock)
    here.round(store, NOW)
    put(store, 1)
    claim(store, f"{HERE}.1.1")
    clock.at += 3600
    assert here.round(store, NOW) == []


def test_the_node_of_an_owner_is_found_in_its_name() -> None:
    assert node_of(f"{HERE}.1.12") == HERE
    assert node_of(f"{HERE}.outbox") == HERE


class Standing:
    """A relay under whose hands the process stands still, before the second mail."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self._store, self._patch = store, monkeypatch
        self.given: list[Parcel] = []

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        results: list[Handed | None] = [None] * len(parcels)
        for index, parcel in enumerate(parcels):
            if parcel.ours():
                self.given.append(parcel)
                results[index] = YES
            if index == 0:
                await self._stand_still()
        return results

    def wind_down(self) -> None:
        """Nothing."""

    async def _stand_still(self) -> None:
        assert claim(self._store, "other.outbox", now=NOW + timedelta(seconds=90))
        now = time.monotonic()
        self._patch.setattr(time, "monotonic", lambda: now + 90)


def test_who_wakes_up_after_its_lease_sends_nothing_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 103: only what was on its way goes out, and what another node has stays with it."""
    put(store, 3)
    relay = Standing(store, monkeypatch)
    asyncio.run(handover_round(store, relay, owner="node.outbox", now=NOW))
    assert len(relay.given) == 1
    with store.reading() as connection:
        rows = list(connection.execute(select(outbox.c.state, outbox.c.lease_owner).order_by(outbox.c.id)))
    assert ("ready", "other.outbox") in rows  # the other has the first, and its verdict is not overwritten


def test_what_was_found_is_followed_by_another_look_at_once() -> None:
    """What a dead worker had is taken alone: at one look a second, a hundred mails would take a hundred seconds."""
    due = Due(timedelta(seconds=1))
    assert due.due(NOW)
    assert not due.due(NOW)
    due.again()
    assert due.due(NOW)
