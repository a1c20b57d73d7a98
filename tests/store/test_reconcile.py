"""Guarantee G4: what a door accepted is accounted for, and what is not is told, row by row."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from daemon.desks import operator
from store.engine import Store
from store.reconcile import Reconciled, reconcile
from store.steering import (
    discard_notification,
    discard_receipt,
    quarantine_record,
    replay_receipt,
    retry_notification,
)


def _payload(*names: str, status: str = "firing") -> bytes:
    ended = "2026-11-23T11:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    alerts = [
        {
            "status": status, "labels": {"alertname": name}, "annotations": {}, "startsAt": "2026-11-23T11:00:00Z",
            "endsAt": ended, "fingerprint": name.encode().hex().zfill(16)[:16],
        }
        for name in names
    ]  # fmt: skip
    return json.dumps({"version": "4", "groupKey": "{}", "status": status, "alerts": alerts}).encode()


def _reconcile(store: Store) -> Reconciled:
    with store.reading() as connection:
        return reconcile(connection)


def _names(store: Store) -> list[str]:
    return [difference.name for difference in _reconcile(store).differences]


def _change(store: Store, statement: str) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql(statement)


@pytest.fixture
def worked(running: Any) -> Any:
    """Alerts that opened, repeated and ended, one bad payload, a record opened by hand, one that waits."""
    running.post(_payload("a", "b"))
    running.post(_payload("a"))
    running.work()
    running.post(_payload("a", status="resolved"))
    running.post(_payload("unseen", status="resolved"))
    running.post(b"nonsense", format="json")
    running.work()
    running.post(_payload("c"))
    author = operator(running.store, "test")
    running.acts.open(by=author, now=running.now, title="By hand", text="", requester=None, fields={})
    return running


def test_a_desk_at_work_reconciles(worked: Any) -> None:
    found = _reconcile(worked.store)
    assert found.differences == []
    assert found.receipts == {"quarantined": 1, "waiting": 1, "worked": 4}
    assert found.items == {"folded": 1, "opened": 2, "repeated": 1, "unmatched": 1}
    assert (found.signals, found.incidents) == (4, 4)


def test_an_empty_desk_reconciles(store: Store) -> None:
    found = _reconcile(store)
    assert (found.receipts, found.items, found.signals, found.differences) == ({}, {}, 0, [])


@pytest.mark.parametrize(("statement", "name"), [
    ("UPDATE receipts SET state = 'lost' WHERE id = 1", "receipt:1"),
    ("UPDATE receipts SET counts = NULL WHERE id = 2", "receipt:2"),
    ("UPDATE receipts SET error = NULL WHERE state = 'quarantined'", "receipt:5"),
    ("UPDATE receipts SET lease_owner = 'x' WHERE id = 1", "receipt:1"),
    ("UPDATE receipts SET counts = '{\"opened\": 3}' WHERE id = 1", "receipt:1"),
    ("UPDATE receipts SET counts = '{\"opened\": 1}' WHERE id = 1", "receipt:1"),
    ("UPDATE receipts SET counts = '{\"repeated\": 1}' WHERE id = 3", "receipt:3"),
    ("DELETE FROM signals WHERE receipt = 1", "receipt:1"),
    ("UPDATE signals SET disposition = 'late' WHERE receipt = 3", "receipt:3"),
    ("DELETE FROM receipts WHERE id = 1", "receipt:1"),
    ("DELETE FROM fold_keys", "repeated"),
])  # fmt: skip
def test_a_receipt_that_does_not_add_up_is_told(worked: Any, statement: str, name: str) -> None:
    _change(worked.store, statement)
    assert name in _names(worked.store)


@pytest.mark.parametrize(("statement", "what"), [
    ("DELETE FROM incidents WHERE number = 1001", "is opened, and its incident does not exist"),
    ("DELETE FROM incidents WHERE number = 1001", "points at an incident that does not exist"),
    ("UPDATE signals SET incident = NULL WHERE disposition = 'folded'", "is folded, and its incident does not exist"),
    ("UPDATE signals SET repeats = 77 WHERE receipt = 3", "is a duplicate, and the first one does not exist"),
    ("UPDATE signals SET incident = (SELECT MIN(incident) FROM signals) WHERE disposition = 'opened'",
     "was opened by 2 signals"),
    ("UPDATE signals SET receipt = 99 WHERE receipt = 3", "names receipt 99, which does not exist"),
    ("DELETE FROM signals WHERE receipt = 1", "was opened by no signal and by nobody"),
])  # fmt: skip
def test_a_row_that_points_at_nothing_is_told(worked: Any, statement: str, what: str) -> None:
    _change(worked.store, statement)
    assert what in [difference.what for difference in _reconcile(worked.store).differences]


def test_the_first_differences_are_told_and_not_thousands(running: Any) -> None:
    for number in range(30):
        running.post(_payload(f"a{number}"))
    running.work()
    _change(running.store, "UPDATE receipts SET counts = '{}'")
    assert len(_reconcile(running.store).differences) == 20


def test_a_replayed_receipt_waits_as_if_it_had_just_come(worked: Any) -> None:
    with worked.store.writing() as connection:
        assert replay_receipt(connection, 5)
        assert not replay_receipt(connection, 5)
        assert not replay_receipt(connection, 1)
    (row,) = worked.rows("SELECT state, attempts, error, worked_at, lease_owner FROM receipts WHERE id = 5")
    assert tuple(row) == ("waiting", 0, None, None, None)
    worked.work()
    assert worked.rows("SELECT state FROM receipts WHERE id = 5")[0][0] == "quarantined"
    assert _names(worked.store) == []


@pytest.mark.parametrize("disposition", ["discarded", "spam"])
def test_a_discarded_receipt_is_accounted_for(worked: Any, disposition: str) -> None:
    with worked.store.writing() as connection:
        assert discard_receipt(connection, 5, disposition=disposition, now=worked.now)
        assert not discard_receipt(connection, 5, disposition=disposition, now=worked.now)
    found = _reconcile(worked.store)
    assert found.differences == []
    assert found.receipts["discarded"] == 1
    assert found.items[disposition] == 1


def test_the_record_of_a_quarantined_receipt_is_found(worked: Any) -> None:
    with worked.store.reading() as connection:
        record = quarantine_record(connection, 5)
        assert quarantine_record(connection, 99) is None
    assert record is not None
    titles = {row.id: row.title for row in worked.records()}
    assert titles[record] == "Unreadable payload from prometheus"


@pytest.fixture
def told(worked: Any) -> int:
    """A reply that waits to be sent; its number."""
    author = operator(worked.store, "test")
    worked.acts.open(by=author, now=worked.now, title="b", text="", requester="kim@example.org", fields={})
    worked.acts.reply("INC-1005", by=author, now=worked.now, text="we look")
    (row,) = worked.rows("SELECT id FROM outbox WHERE kind = 'reply'")
    return int(row.id)


def _outbox(worked: Any, number: int) -> Any:
    return worked.rows(f"SELECT * FROM outbox WHERE id = {number}")[0]


def test_a_dead_notification_is_tried_again_with_its_bytes(worked: Any, told: int) -> None:
    for body, state in (("NULL", "waiting"), ("'x'", "ready")):
        _change(worked.store, f"UPDATE outbox SET state = 'dead', next_at = NULL, attempts = 9, bytes = {body},"
                              f" reason = 'expired', expires_at = 0 WHERE id = {told}")  # fmt: skip
        with worked.store.writing() as connection:
            assert retry_notification(connection, told, worked.now)
        row = _outbox(worked, told)
        assert (row.state, row.attempts, row.reason) == (state, 0, None)
        assert row.next_at is not None
        assert row.expires_at > row.next_at


def test_what_is_delivered_or_on_its_way_is_left_alone(worked: Any, told: int) -> None:
    for change in ("state = 'delivered'", "state = 'ready', lease_owner = 'x', lease_until = 9000000000000000"):
        _change(worked.store, f"UPDATE outbox SET {change} WHERE id = {told}")
        with worked.store.writing() as connection:
            assert not retry_notification(connection, told, worked.now)
            assert not discard_notification(connection, told, reason="no", now=worked.now)


def test_a_discarded_notification_is_dead_and_says_why(worked: Any, told: int) -> None:
    with worked.store.writing() as connection:
        assert discard_notification(connection, told, reason="told by phone", now=worked.now)
    row = _outbox(worked, told)
    assert (row.state, row.reason, row.next_at) == ("dead", "discarded: told by phone", None)


def test_two_hundred_thousand_rows_are_compared_in_seconds(running: Any) -> None:
    """Cheap enough to be run on a million rows: four times this."""
    counted = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)",
        "postgresql": "WITH n AS (SELECT generate_series(1, 100000) AS i)",
    }
    numbers, store = counted[running.store.kind], running.store
    _change(store, (
        "INSERT INTO receipts (id, source, format, received_at, envelope, content, size, state, attempts, counts)"
        f" {numbers} SELECT i, 's', 'json', 0, '{{}}', 'x', 1, 'worked', 0, '{{\"late\": 1, \"repeated\": 0}}' FROM n"
    ))  # fmt: skip
    _change(store, (
        "INSERT INTO signals (id, receipt, source, received_at, title, status, disposition)"
        f" {numbers} SELECT i, i, 's', 0, 't', 'firing', 'late' FROM n"
    ))  # fmt: skip
    begun = time.monotonic()
    found = _reconcile(store)
    assert found.differences == []
    assert found.items == {"late": 100_000, "repeated": 0}
    assert time.monotonic() - begun < 10
