"""Leases: batches of fresh rows, suspects alone, verdicts only of the one who has the row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text, update

from desk.receive import Receipt
from kit.instants import to_micros
from store.bulk import insert_rows
from store.claims import (
    Lease,
    claim_outbox,
    claim_receipts,
    claim_targets,
    extend_leases,
    finish_receipts,
    load_waiting,
    put_back,
    quarantine_receipts,
    record_progress,
    release,
    settle_outbox,
    settle_targets,
)
from store.engine import Store, open_store
from store.errors import LeaseLost
from store.receipts import keep_receipts, pack
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.targets import targets

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LENGTH = timedelta(seconds=30)
LATER = NOW + LENGTH + timedelta(seconds=1)


def _keep(store: Store, count: int) -> list[int]:
    packed = [pack(Receipt("monitor", "json", NOW, {"peer": "127.0.0.1"}, bytes([n]), None)) for n in range(count)]
    with store.writing() as connection:
        return [kept.id for kept in keep_receipts(connection, packed)]


def _claim(store: Store, owner: str, now: datetime = NOW, limit: int = 10) -> dict[int, int]:
    """Which receipts were claimed, and the attempts of each."""
    with store.writing() as connection:
        claimed = claim_receipts(connection, Lease(owner, now, LENGTH), limit)
    return {one.id: one.attempts for one in claimed}


def _finish(store: Store, owner: str, *ids: int) -> None:
    with store.writing() as connection:
        finish_receipts(connection, owner, counts={number: {"opened": 1} for number in ids}, now=NOW)


def test_fresh_receipts_are_claimed_once_in_order_of_arrival(store: Store) -> None:
    ids = _keep(store, 5)
    assert list(_claim(store, "a", limit=3).items()) == [(number, 0) for number in ids[:3]]
    assert list(_claim(store, "b", limit=3)) == ids[3:]
    assert _claim(store, "c") == {}


def test_a_claim_tells_all_that_a_turn_needs(store: Store) -> None:
    receipt = Receipt("monitor", "json", NOW, {"peer": "127.0.0.1"}, b"body", b"key")
    with store.writing() as connection:
        keep_receipts(connection, [packed := pack(receipt)])
        [claimed] = claim_receipts(connection, Lease("a", NOW, LENGTH), 1)
    assert (claimed.source, claimed.format, claimed.key, claimed.received_at) == ("monitor", "json", b"key", NOW)
    assert (claimed.envelope, claimed.content, claimed.size) == ({"peer": "127.0.0.1"}, packed.content, 4)


def test_a_batch_that_never_ended_is_taken_again_one_by_one(store: Store) -> None:
    """Fault 113: only the take of a receipt alone is counted, else three kills would quarantine the innocent."""
    old = _keep(store, 2)
    _claim(store, "killed")
    new = _keep(store, 2)
    assert _claim(store, "b", LATER) == {old[0]: 1}
    assert _claim(store, "b", LATER) == {old[1]: 1}
    assert _claim(store, "b", LATER) == dict.fromkeys(new, 0)


def test_a_receipt_that_kills_its_worker_each_time_is_counted_each_time(store: Store) -> None:
    [poison] = _keep(store, 1)
    claims = [_claim(store, f"killed {n}", NOW + n * 2 * LENGTH) for n in range(4)]
    assert claims == [{poison: 0}, {poison: 1}, {poison: 2}, {poison: 3}]


def test_a_lease_that_runs_is_respected_to_its_end(store: Store) -> None:
    [number] = _keep(store, 1)
    _claim(store, "a")
    assert _claim(store, "b", NOW + LENGTH - timedelta(microseconds=1)) == {}
    assert _claim(store, "b", NOW + LENGTH) == {number: 1}


def test_a_lease_that_is_extended_runs_on(store: Store) -> None:
    _keep(store, 1)
    _claim(store, "a")
    with store.writing() as connection:
        extend_leases(connection, Lease("a", NOW + LENGTH, LENGTH))
    assert _claim(store, "b", LATER) == {}


def test_what_a_dead_owner_had_is_suspect_at_once(store: Store) -> None:
    dead, living = _keep(store, 2)
    _claim(store, "dead", limit=1)
    _claim(store, "living", limit=1)
    with store.writing() as connection:
        release(connection, "dead", NOW)
    assert _claim(store, "b") == {dead: 1}
    _finish(store, "living", living)


def test_a_worked_receipt_says_how_it_ended_and_is_never_claimed_again(store: Store) -> None:
    [number] = _keep(store, 1)
    _claim(store, "a")
    _finish(store, "a", number)
    with store.reading() as connection:
        row = connection.execute(select(receipts)).one()
    assert (row.state, row.counts, row.worked_at) == ("worked", '{"opened": 1}', to_micros(NOW))
    assert (row.lease_owner, row.lease_until) == (None, None)
    assert _claim(store, "b", LATER) == {}


def test_a_quarantined_receipt_says_why_and_does_not_block_the_row_behind_it(store: Store) -> None:
    bad, good = _keep(store, 2)
    _claim(store, "a", limit=1)
    with store.writing() as connection:
        quarantine_receipts(connection, "a", errors={bad: "no such\x00 encoding"}, now=NOW)
    with store.reading() as connection:
        row = connection.execute(select(receipts).where(receipts.c.id == bad)).one()
    assert (row.state, row.error) == ("quarantined", "no such\ufffd encoding")
    assert _claim(store, "b", LATER) == {good: 0}


def test_a_verdict_of_one_who_lost_the_lease_changes_nothing(store: Store) -> None:
    """Fault 103: a worker that was stopped for a while has nothing to say any more."""
    first, second = _keep(store, 2)
    _claim(store, "stopped")
    assert _claim(store, "b", LATER) == {first: 1}
    with pytest.raises(LeaseLost):
        _finish(store, "stopped", first, second)
    with pytest.raises(LeaseLost), store.writing() as connection:
        quarantine_receipts(connection, "stopped", errors={first: "slow"}, now=NOW)
    _finish(store, "b", first)


def test_a_failed_turn_gives_back_what_it_has_to_be_taken_one_by_one(store: Store) -> None:
    first, second = _keep(store, 2)
    _claim(store, "a")
    with store.writing() as connection:
        put_back(connection, "a", [first, second], now=NOW)
    assert [_claim(store, "a"), _claim(store, "a")] == [{first: 1}, {second: 1}]


def test_how_far_a_long_receipt_got_is_told_to_the_next_turn(store: Store) -> None:
    [number] = _keep(store, 1)
    _claim(store, "a")
    with store.writing() as connection:
        record_progress(connection, "a", counts={number: {"opened": 500}})
        [claimed] = claim_receipts(connection, Lease("b", LATER, LENGTH), 1)
    assert claimed.counts == {"opened": 500}


def test_two_workers_at_once_share_the_inbox(postgresql_url: str) -> None:
    """SKIP LOCKED: the second neither waits for the first nor takes what it takes."""
    opened = open_store(postgresql_url)
    ids = _keep(opened, 4)
    with opened.writing() as first, opened.writing() as second:
        one = claim_receipts(first, Lease("a", NOW, LENGTH), 2)
        two = claim_receipts(second, Lease("b", NOW, LENGTH), 2)
    assert [claimed.id for claimed in (*one, *two)] == ids
    opened.close()


def _target(number: int, next_at: datetime | None) -> tuple[Any, ...]:
    at = to_micros(NOW)
    due = to_micros(next_at) if next_at else None
    return (
        number, 1, "respond", "running", at, at, due, 60, "always", None, None, None, None, 0, 0, 0, None, None,
    )


def test_a_look_tells_without_a_lock_what_there_may_be_to_claim(store: Store) -> None:
    with store.writing(), store.reading() as connection:  # the lock is held by another, and the look does not wait
        assert load_waiting(connection, NOW) == (False, False, False)
    _keep(store, 1)
    with store.writing() as connection:
        insert_rows(connection, targets, [_target(1, NOW)])
    with store.reading() as connection:
        assert load_waiting(connection, NOW - timedelta(seconds=1)) == (True, False, False)
        assert load_waiting(connection, NOW) == (True, True, False)
    _finish(store, "a", *_claim(store, "a"))
    with store.reading() as connection:
        assert not load_waiting(connection, NOW).receipts


def test_due_targets_are_claimed_the_longest_overdue_first(store: Store) -> None:
    minute = timedelta(minutes=1)
    times = {1: NOW, 2: NOW - minute, 3: NOW + minute, 4: None}
    with store.writing() as connection:
        insert_rows(connection, targets, [_target(number, at) for number, at in times.items()])
        claimed = claim_targets(connection, Lease("a", NOW, LENGTH), 10)
        assert [row.id for row in claimed] == [2, 1]
        assert claim_targets(connection, Lease("b", NOW, LENGTH), 10) == []
        settle_targets(connection, "a", [1])
        assert [row.id for row in claim_targets(connection, Lease("b", LATER, LENGTH), 10)] == [2]
    with pytest.raises(LeaseLost), store.writing() as connection:
        settle_targets(connection, "a", [2])


def _told(number: int, *, rank: int, state: str, next_at: datetime) -> dict[str, Any]:
    at = to_micros(NOW)
    return {
        "id": number, "kind": "reply", "person": 1, "recipient": "ana@example.com", "channel": "mail", "rank": rank,
        "message_id": f"<{number}@example.com>", "facts": "{}", "state": state, "attempts": 0, "created_at": at,
        "next_at": to_micros(next_at), "expires_at": at, "members": 0,
    }


def test_the_outbox_is_claimed_by_state_and_critical_first(store: Store) -> None:
    minute = timedelta(minutes=1)
    rows = [
        _told(1, rank=3, state="ready", next_at=NOW - minute), _told(2, rank=1, state="ready", next_at=NOW),
        _told(3, rank=1, state="waiting", next_at=NOW), _told(4, rank=1, state="ready", next_at=NOW + minute),
    ]
    with store.writing() as connection:
        connection.execute(outbox.insert(), rows)
        claimed = claim_outbox(connection, Lease("a", NOW, LENGTH), state="ready", limit=10)
        assert [(row.id, row.attempts) for row in claimed] == [(2, 0), (1, 0)]
        settle_outbox(connection, "a", [2, 1])
        claim_outbox(connection, Lease("killed", NOW, LENGTH), state="waiting", limit=10)
        claimed = claim_outbox(connection, Lease("b", LATER, LENGTH), state="waiting", limit=10)
        assert [(row.id, row.attempts) for row in claimed] == [(3, 1)]


_MANY = {
    "sqlite": "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 20000)",
    "postgresql": "WITH n AS (SELECT generate_series(1, 20000) AS id)",
}


def _plans(store: Store) -> list[str]:
    """How the database goes about the two statements of a claim, and about the look before it."""
    seen: list[Any] = []
    with store.writing() as connection:
        listen = ("before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
        event.listen(connection, *listen)
        claim_receipts(connection, Lease("a", LATER, LENGTH), 100)
        load_waiting(connection, LATER)
        event.remove(connection, *listen)
        how = "EXPLAIN QUERY PLAN " if store.kind == "sqlite" else "EXPLAIN "
        return [
            "\n".join(str(row) for row in connection.exec_driver_sql(how + statement, parameters))
            for statement, parameters in seen
        ]


def test_a_claim_does_not_look_at_old_receipts(store: Store) -> None:
    """All statements go through their partial index, however many receipts were worked before."""
    with store.writing() as connection:
        connection.execute(text(
            f"{_MANY[store.kind]} INSERT INTO receipts (id, source, format, received_at, envelope, content, size, "
            f"state, attempts) SELECT 1000000 + id, 's', 'json', 1, '{{}}', :content, 1, 'worked', 0 FROM n"
        ), {"content": b"x"})
    _keep(store, 10)
    with store.writing() as connection:
        connection.exec_driver_sql("ANALYZE")
    suspect, fresh, look = _plans(store)
    assert "ix_receipts_leased" in suspect
    assert "ix_receipts_fresh" in fresh
    assert "ix_receipts_leased" in look
    assert "ix_receipts_fresh" in look
    for plan in (suspect, fresh, look):
        assert "Seq Scan on receipts" not in plan
        assert "SCAN receipts\n" not in plan


def test_the_plan_test_can_fail(store: Store) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("DROP INDEX ix_receipts_fresh")
        connection.execute(update(receipts).values(state="worked"))
    _keep(store, 1)
    assert "ix_receipts_fresh" not in "".join(_plans(store))
