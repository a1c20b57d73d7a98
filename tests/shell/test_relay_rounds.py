"""The outbox's rounds against a real store and relays that fail as we tell them to."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select

from daemon.outbox import LATE, LEASE, MOST_TAKES, Handover, compose_round, handover_round, pause_after
from incidents.effects import Outgoing
from incidents.incident import Incident
from incidents.signal import Mailbox
from incidents.targets import Target
from kit.instants import from_micros, to_micros
from kit.tokens import Keyring
from ledger.errors import NotHere
from ledger.trouble import ballast, small_disk
from notifiers.alternate import TwoRelays
from notifiers.spec import Handed, Outcome, Parcel, RelayUnreachable
from notifiers.voice import Voice
from store.bulk import insert_rows
from store.engine import Store, open_store
from store.errors import StoreFull
from store.rows import incident_row, outgoing_row, target_row
from store.tables.incidents import incidents
from store.tables.outbox import deliveries, outbox
from store.tables.people import people
from store.tables.targets import targets
from store.upkeep import keep_reserve

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
KEYRING = Keyring({1: b"k" * 32}, 1)
VOICE = Voice("Example IT", "d7k2", Mailbox("desk@example.com", "Example IT"), ZoneInfo("Europe/Berlin"))
INCIDENT = Incident(
    1, 1042, "incident", "Label printers", "working", "service_desk", NOW, NOW, "support", "P3", "sev3", "medium",
    "medium", 1,
)  # fmt: skip
YES = Handed(Outcome.DELIVERED, "250", "ok")
LATER = Handed(Outcome.DELAYED, "451", "later")
NO = Handed(Outcome.FAILED, "550", "no such user")


@dataclass
class Scripted:
    """A relay that says what it is told, by recipient, and remembers what it was given."""

    says: dict[str, Handed | None] = field(default_factory=dict)
    away: bool = False
    given: list[Parcel] = field(default_factory=list)
    winding_down: bool = False

    def wind_down(self) -> None:
        self.winding_down = True

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        if self.away:
            raise RelayUnreachable("The relay takes no connection.")
        self.given += parcels
        return [self.says.get(parcel.recipient, YES) for parcel in parcels]


def row(number: int, kind: str = "status", recipient: str = "ana@example.com", **changes: Any) -> Outgoing:
    out = Outgoing(
        number, 1, kind, 7, recipient, 3, f"t.{number}@d7k2.example.com", {"event": "resolved"}, "waiting", NOW, NOW,
        NOW + timedelta(days=5),
    )  # fmt: skip
    return replace(out, **changes)


@pytest.fixture
def desk(store: Store) -> Store:
    with store.writing() as connection:
        head = (0, b"\x00" * 32)
        insert_rows(connection, incidents, [incident_row(INCIDENT, number=1042, version=0, updated_at=NOW, head=head)])
        connection.execute(insert(people).values(id=7, name="Ana Example"))
    return store


def put(store: Store, *rows: Outgoing) -> None:
    with store.writing() as connection:
        insert_rows(connection, outbox, [outgoing_row(one) for one in rows])


def composed(store: Store, *rows: Outgoing) -> None:
    put(store, *rows)
    assert compose_round(store, VOICE, KEYRING, owner="worker", now=NOW).ready == len(rows)


def hand(store: Store, relay: Scripted, now: datetime = NOW, limit: int = 100) -> Handover:
    return asyncio.run(handover_round(store, relay, owner="daemon", now=now, limit=limit))


def rows_of(store: Store) -> dict[int, Any]:
    with store.reading() as connection:
        return {found.id: found for found in connection.execute(select(outbox))}


def states(store: Store) -> dict[int, str]:
    return {number: found.state for number, found in rows_of(store).items()}


def outcomes(store: Store) -> list[tuple[int, str, str | None]]:
    with store.reading() as connection:
        query = select(deliveries.c.outbox, deliveries.c.outcome, deliveries.c.code).order_by(deliveries.c.id)
        return [(number, outcome, code) for number, outcome, code in connection.execute(query)]


def test_what_waits_is_composed_and_then_handed_over(desk: Store) -> None:
    composed(desk, row(1), row(2, "reply", "ben@example.com"))
    relay = Scripted()
    assert hand(desk, relay) == Handover(delivered=2)
    assert states(desk) == {1: "delivered", 2: "delivered"}
    assert {parcel.recipient for parcel in relay.given} == {"ana@example.com", "ben@example.com"}
    assert all(b"Message-ID: <t." in parcel.body for parcel in relay.given)
    assert sorted(outcomes(desk)) == [(1, "delivered", "250"), (2, "delivered", "250")]
    assert not hand(desk, relay).busy


def test_what_is_not_due_stays(desk: Store) -> None:
    later = NOW + timedelta(minutes=5)
    put(desk, row(1, next_at=later), row(2, state="superseded"), row(3, state="suppressed", next_at=None))
    assert not compose_round(desk, VOICE, KEYRING, owner="worker", now=NOW).busy
    assert hand(desk, Scripted()) == Handover()


def test_one_mail_that_cannot_be_made_holds_up_no_other(desk: Store) -> None:
    put(desk, row(1, recipient="zoë@example.com"), row(2, "reply"), row(3, "reply", attempts=MOST_TAKES))
    done = compose_round(desk, VOICE, KEYRING, owner="worker", now=NOW)
    assert (done.ready, set(done.dead)) == (1, {1, 3})
    found = rows_of(desk)
    assert (found[1].state, found[1].reason) == ("dead", "unaddressable")
    assert (found[3].state, found[3].reason) == ("dead", "killed_its_worker")
    assert found[2].state == "ready"


def test_each_recipient_has_a_state_of_its_own(desk: Store) -> None:
    """Fault 76: only the deferred are tried again."""
    composed(desk, *(row(n, "reply", f"p{n}@example.com") for n in (1, 2, 3)))
    relay = Scripted({"p2@example.com": LATER, "p3@example.com": NO})
    assert hand(desk, relay) == Handover(delivered=1, delayed=1, failed=1)
    found = rows_of(desk)
    assert {number: one.state for number, one in found.items()} == {1: "delivered", 2: "ready", 3: "dead"}
    assert NOW + timedelta(seconds=15) <= from_micros(found[2].next_at) <= NOW + timedelta(seconds=30)
    assert found[3].reason == "refused"
    relay.says.clear()
    assert hand(desk, relay, NOW + timedelta(seconds=30)) == Handover(delivered=1)
    assert [parcel.recipient for parcel in relay.given[3:]] == ["p2@example.com"]


def test_pauses_grow_to_an_hour_and_for_pages_to_two_minutes(desk: Store) -> None:
    """Fault 75."""
    composed(desk, row(1, "reply"), row(2, "escalation", expires_at=NOW + timedelta(days=1)))
    now = NOW
    relay = Scripted({"ana@example.com": LATER})
    pauses: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(60):
        before = {number: found.attempts for number, found in rows_of(desk).items()}
        hand(desk, relay, now)
        found = rows_of(desk)
        for number, tries in before.items():
            if found[number].attempts > tries:
                pauses[number].append((from_micros(found[number].next_at) - now).total_seconds())
        now = min(from_micros(one.next_at) for one in found.values())
    assert 15 <= pauses[1][0] <= 30
    assert max(pauses[2]) <= 120
    assert len(pauses[2]) > len(pauses[1])
    assert all(pause <= 3600 for pause in pauses[1])
    assert pauses[1][-1] > 300


def test_a_mail_is_dead_when_its_time_is_over(desk: Store) -> None:
    composed(desk, row(1, "reply", expires_at=NOW + timedelta(hours=1)))
    relay = Scripted({"ana@example.com": LATER})
    hand(desk, relay, NOW + timedelta(minutes=59))
    assert hand(desk, relay, NOW + timedelta(hours=1)) == Handover(expired=1)
    assert (rows_of(desk)[1].state, rows_of(desk)[1].reason) == ("dead", "expired")
    assert len(relay.given) == 1


def test_a_relay_that_is_away_costs_no_attempt(desk: Store) -> None:
    """Faults 75 and 81: everything is still due when it comes back, critical mail first."""
    composed(desk, row(1, "reply"), row(2, "escalation", rank=1), row(3, "reply", rank=2))
    away = Scripted(away=True)
    done = hand(desk, away)
    assert (done.untried, done.trouble, done.busy) == (3, "The relay takes no connection.", False)
    assert outcomes(desk) == []
    assert {one.attempts for one in rows_of(desk).values()} == {0}
    back = Scripted()
    assert hand(desk, back, NOW + timedelta(seconds=60)).delivered == 3
    assert [b"t.2@" in back.given[0].body, b"t.3@" in back.given[1].body] == [True, True]
    assert timedelta(seconds=15) <= pause_after(1) <= timedelta(seconds=30)
    assert timedelta(seconds=60) <= pause_after(50) <= timedelta(seconds=120)


def test_a_page_that_the_relay_did_not_take_goes_another_way_after_two_minutes(desk: Store) -> None:
    """Fault 75: pages alone; all other mail waits, and the first relay is asked again soon."""
    composed(desk, row(1), row(2, "escalation", "oncall@example.com"), row(3, "notice", "lead@example.com"))
    away, other = Scripted(away=True), Scripted()
    relay: Any = TwoRelays(away, other)
    assert hand(desk, relay, NOW + LATE * 0.9) == Handover(untried=3, trouble="The relay takes no connection.")
    assert hand(desk, relay, NOW + LATE) == Handover(delivered=2, untried=1)
    assert {parcel.recipient for parcel in other.given} == {"oncall@example.com", "lead@example.com"}
    assert hand(desk, relay, NOW + LATE) == Handover(untried=1, trouble="The relay takes no connection.")
    assert pause_after(9, alternate=True) <= timedelta(seconds=30)
    away.away = False
    assert hand(desk, relay, NOW + LATE) == Handover(delivered=1)


def test_an_alternate_relay_that_is_away_changes_nothing(desk: Store) -> None:
    """Late pages go the usual way then, and with both away all of it waits."""
    composed(desk, row(1), row(2, "escalation", "oncall@example.com"))
    first, other = Scripted(away=True), Scripted(away=True)
    relay: Any = TwoRelays(first, other)
    assert hand(desk, relay, NOW + LATE) == Handover(untried=2, trouble="The relay takes no connection.")
    first.away = False
    assert hand(desk, relay, NOW + LATE) == Handover(delivered=2)
    relay.wind_down()
    assert first.winding_down
    assert other.winding_down


def test_rows_that_a_round_did_not_get_to_are_due_at_once(desk: Store) -> None:
    composed(desk, row(1, "reply"), row(2, "reply", "ben@example.com"))
    relay = Scripted({"ben@example.com": None})
    assert hand(desk, relay) == Handover(delivered=1, untried=1)
    relay.says.clear()
    assert hand(desk, relay) == Handover(delivered=1)


def test_a_crash_after_the_relays_yes_sends_the_same_mail_once_more(desk: Store) -> None:
    """Fault 82: same Message-ID, identical bytes, at most one duplicate."""
    composed(desk, row(1, "reply"))

    class Crash(Scripted):
        async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
            await super().hand_over(parcels)
            raise SystemExit  # the process is gone before its mark

    crashing = Crash()
    with pytest.raises(SystemExit):
        hand(desk, crashing)
    again = Scripted()
    assert not hand(desk, again, NOW + LEASE / 2).busy
    assert hand(desk, again, NOW + LEASE * 1.1) == Handover(delivered=1)
    assert not hand(desk, again, NOW + LEASE * 5).busy
    assert crashing.given == again.given


def test_a_disk_that_is_full_when_the_relay_has_taken_a_mail_makes_it_go_out_once(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """Fault 92: its mark is written in the reserve, while doors and other rounds hear that the disk is full."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(tmp_path / "disk", 64))
        except NotHere as error:
            pytest.skip(str(error))
        shutil.copyfile(sqlite_template, disk / "triaged.db")
        store = stack.enter_context(closing(open_store(f"sqlite:///{disk / 'triaged.db'}")))
        keep_reserve(store)
        composed(store, *(row(n, "reply", f"p{n}@example.com") for n in range(100)))
        full = ExitStack()

        class Filling(Scripted):
            async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
                full.enter_context(ballast(disk))
                return await super().hand_over(parcels)

        relay = Filling({f"p{n}@example.com": Handed(Outcome.DELIVERED, "250", "x" * 4000) for n in range(100)})
        with full:
            assert hand(store, relay) == Handover(delivered=100)
            with pytest.raises(StoreFull):
                hand(store, relay)
        assert hand(store, relay, NOW + LEASE * 5) == Handover()
        assert len(relay.given) == 100
        assert set(states(store).values()) == {"delivered"}


def test_old_news_is_not_sent_when_newer_waits(desk: Store) -> None:
    """Fault 81. A refused connection was no attempt, so the older may still be overtaken."""
    composed(desk, row(1))
    hand(desk, Scripted(away=True))
    put(desk, row(2, created_at=NOW + timedelta(hours=1)), row(3, created_at=NOW))
    relay = Scripted()
    done = compose_round(desk, VOICE, KEYRING, owner="worker", now=NOW + timedelta(hours=2))
    assert (done.ready, done.superseded) == (1, 1)
    assert hand(desk, relay, NOW + timedelta(hours=2)) == Handover(delivered=1, superseded=1)
    assert states(desk) == {1: "superseded", 2: "delivered", 3: "superseded"}


def test_a_page_refused_for_good_lets_the_escalation_go_on_at_once(desk: Store) -> None:
    """Fault 79."""
    due_at = NOW + timedelta(minutes=10)
    with desk.writing() as connection:
        target = Target(900, 1, "escalation.standard", "running", NOW, due_at, due_at, timedelta(0), step=1)
        insert_rows(connection, targets, [target_row(target)])
    composed(desk, row(1, "escalation", facts={"path": "standard", "step": 1}))
    done = hand(desk, Scripted({"ana@example.com": NO}))
    assert done == Handover(failed=1, dead_pages=[1], escalated=1)
    with desk.reading() as connection:
        assert connection.execute(select(targets.c.next_at)).scalar_one() == to_micros(NOW)


def test_a_backlog_goes_in_batches(desk: Store) -> None:
    composed(desk, *(row(n, "reply", f"p{n}@example.com") for n in range(1, 51)))
    relay = Scripted()
    assert [hand(desk, relay, limit=20).delivered for _ in range(4)] == [20, 20, 10, 0]
    assert len({parcel.recipient for parcel in relay.given}) == 50


@dataclass
class Slow(Scripted):
    """A relay that takes a mail when it is let."""

    let: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        self.asked.set()
        await self.let.wait()
        return await super().hand_over(parcels)

    def wind_down(self) -> None:
        self.let.set()


def test_a_slow_round_holds_up_no_other_and_keeps_its_rows(desk: Store) -> None:
    """Fault 78: rounds run side by side, and a lease lasts as long as the relay takes."""
    composed(desk, row(1, "reply"))

    async def run() -> None:
        slow, quick = Slow(), Scripted()
        lease = timedelta(seconds=0.3)
        begun = asyncio.create_task(handover_round(desk, slow, owner="daemon", now=NOW, lease=lease))
        await slow.asked.wait()
        await asyncio.to_thread(composed, desk, row(2, "reply"))
        assert await handover_round(desk, quick, owner="daemon", now=NOW) == Handover(delivered=1)
        first = await asyncio.to_thread(lambda: rows_of(desk)[1].lease_until)
        while await asyncio.to_thread(lambda: rows_of(desk)[1].lease_until) == first:  # noqa: ASYNC110 - a commit has no event
            await asyncio.sleep(0.02)
        assert (await handover_round(desk, quick, owner="other", now=NOW + lease)) == Handover()
        slow.let.set()
        assert await begun == Handover(delivered=1)

    asyncio.run(asyncio.wait_for(run(), 30))
    assert states(desk) == {1: "delivered", 2: "delivered"}


def test_a_stop_finishes_what_is_on_its_way(desk: Store) -> None:
    """So that an orderly restart sends nothing twice."""
    composed(desk, row(1, "reply"))

    async def run() -> None:
        slow = Slow()
        begun = asyncio.create_task(handover_round(desk, slow, owner="daemon", now=NOW))
        await slow.asked.wait()
        begun.cancel()
        with pytest.raises(asyncio.CancelledError):
            await begun

    asyncio.run(asyncio.wait_for(run(), 30))
    assert states(desk) == {1: "delivered"}
    assert outcomes(desk) == [(1, "delivered", "250")]
