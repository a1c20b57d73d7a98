"""What is past its class goes, in small steps, and every proof holds afterwards. Fault 114, 8-practice A.5."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, update

from daemon.desks import operator
from desk.apply import apply
from desk.change import Change
from desk.receive import Receipt
from desk.working import Working
from incidents.timeline import Entry, EntryKind
from kit.instants import to_micros
from store import retention
from store.audit import make_checkpoint, verify
from store.bulk import insert_rows
from store.emptying import drop_parts, find_unneeded, newest_seen, pieces
from store.engine import Store, lock_path, open_store
from store.errors import Rejected
from store.loading import load_records
from store.nodes import beat, load_beats
from store.receipts import PART_BYTES, Packed, has_body, keep_parts, keep_receipts, pack
from store.reconcile import reconcile
from store.retention import DEFAULTS, Retention, retention_round
from store.saving import rows_of, save
from store.tables.incidents import assessments, incidents
from store.tables.instance import sweeps
from store.tables.outbox import budgets, deliveries, outbox
from store.tables.receipts import contents, receipts
from store.tables.signals import fold_keys, signals
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values, tombstones
from store.write import Writing, in_turns

DAY = timedelta(days=1)


def _sweep(running: Any, **more: Any) -> dict[str, int]:
    """One round of a desk that was swept yesterday, too; what it deleted."""
    yesterday = to_micros(running.now - DAY)
    with running.store.writing() as connection:
        connection.execute(update(sweeps).where(sweeps.c.at < yesterday).values(at=yesterday))
    done = retention_round(running.store, running.now, wait=lambda _: False, **more)
    assert done is not None
    return dict(done)


def _count(store: Store, table: Any) -> int:
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _proved(store: Store) -> Any:
    """Chain and books are right; what was verified."""
    with store.reading() as connection:
        verified, reconciled = verify(connection), reconcile(connection)
    assert verified.first_broken is None
    assert reconciled.differences == []
    return verified


def _bodies(store: Store) -> set[int]:
    with store.reading() as connection:
        return {row.id for row in connection.execute(select(receipts.c.id)) if has_body(connection, row.id)}


def _alerts(*names: str) -> bytes:
    return json.dumps({"version": "4", "groupKey": "{}", "alerts": [
        {
            "status": "firing", "labels": {"alertname": name}, "annotations": {}, "fingerprint": name * 8,
            "startsAt": "2026-11-23T11:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        }
        for name in names
    ]}).encode()  # fmt: skip


def _close_all(running: Any) -> None:
    """As if somebody had resolved them, and the time for second thoughts were over."""
    make_checkpoint(running.store, running.now)
    with running.store.writing() as connection:
        connection.execute(update(incidents).values(state="closed", closed_at=to_micros(running.now)))


# ---------------------------------------------------------------------- raw bytes


def test_bytes_of_a_repeated_state_go_after_a_day_and_others_stay(running: Any) -> None:
    """The same bytes as those that opened a record stay as long as these."""
    running.post(_alerts("aa"))
    running.post(_alerts("bb"))
    running.work()
    running.post(_alerts("aa"))  # shares its bytes with the first
    running.post(_alerts("aa", "bb"))  # has bytes of its own, and tells nothing new
    running.work()
    running.wait(hours=23)
    assert _sweep(running).get("contents", 0) == 0
    running.wait(hours=25)
    assert _sweep(running)["contents"] == 1
    assert _bodies(running.store) == {1, 2, 3}
    _proved(running.store)


def test_all_bytes_go_after_thirteen_months_and_envelopes_with_them(running: Any) -> None:
    running.mail(b"From: ann@example.com\r\nSubject: dark\r\nMessage-ID: <1@x>\r\n\r\nIt is dark.\r\n")
    running.work()
    running.wait(days=394)
    assert "contents" not in _sweep(running)
    running.wait(days=2)
    done = _sweep(running)
    assert (done["contents"], done["envelopes"]) == (1, 1)
    with running.store.reading() as connection:
        assert connection.execute(select(receipts.c.envelope)).scalars().all() == ["{}"]
    assert _count(running.store, incidents) == 1
    _proved(running.store)


def test_what_waits_keeps_its_bytes_however_old_it_is(running: Any) -> None:
    running.post(_alerts("aa"))
    running.wait(days=500)
    _sweep(running)
    assert _bodies(running.store) == {1}
    running.work()
    assert len(running.records()) == 1


def test_bytes_that_no_receipt_followed_go_at_once(running: Any) -> None:
    """A mail sent twice with another Received line is kept once, and its second bytes are nobody's."""
    body = b"Subject: dark\r\nMessage-ID: <1@x>\r\n\r\nIt is dark.\r\n"
    running.mail(b"Received: one\r\n" + body)
    running.mail(b"Received: two\r\n" + body)
    assert (_count(running.store, receipts), _count(running.store, contents)) == (1, 2)
    assert _sweep(running)["contents"] == 1
    assert _bodies(running.store) == {1}


def test_bytes_that_come_again_while_they_are_swept_stay(running: Any) -> None:
    """A door keeps bytes that are there already only once, so it must not lose them to a sweep (G1)."""
    running.post(_alerts("aa"))
    running.work()
    running.post(_alerts("aa", "aa"))
    running.work()
    running.wait(days=2)
    past = retention._Sweep(running.store, running.now, DEFAULTS, 1, lambda _: False)._past
    with running.store.reading() as connection:
        (piece,) = pieces(connection)
        seen, found = newest_seen(connection, running.now), find_unneeded(connection, piece, past)
    assert len(found) == 1
    running.post(_alerts("aa", "aa"))
    with running.store.writing() as connection:
        assert drop_parts(connection, found, seen=seen) == 0
    running.work()
    assert _bodies(running.store) == {1, 2, 3}


def test_a_door_in_the_middle_of_its_commit_loses_no_bytes(postgresql_url: str) -> None:
    """On PostgreSQL the sweep waits until it sees what the door keeps."""
    with closing(open_store(postgresql_url)) as store:
        body = Receipt("x", "json", datetime.fromisoformat("2026-11-23T12:00:00+00:00"), {}, b"{}", None)
        with store.writing() as connection:
            keep_receipts(connection, [pack(body)])
        with store.reading() as connection:
            (piece,) = pieces(connection)
            assert find_unneeded(connection, piece, _far(body.received_at)) == []
        with store.writing() as connection:
            connection.execute(update(receipts).values(state="worked", counts='{"repeated": 1}'))
        with store.reading() as connection:
            parts = find_unneeded(connection, piece, _far(body.received_at))
            seen = newest_seen(connection, body.received_at)
        dropped: list[int] = []

        def drop() -> None:
            with store.writing() as connection:
                dropped.append(drop_parts(connection, parts, seen=seen))

        sweeping = threading.Thread(target=drop)
        with store.writing() as connection:
            keep_receipts(connection, [pack(body)])
            sweeping.start()
            sweeping.join(0.3)
            assert sweeping.is_alive()
        sweeping.join(5)
        assert dropped == [0]
        assert _bodies(store) == {1, 2}


def _far(now: datetime) -> Any:
    rules = Retention(content=-DAY, repeated=-DAY)
    return retention._Sweep(Any, now, rules, 1, lambda _: False)._past  # type: ignore[arg-type]


def test_a_large_body_whose_parts_were_swept_before_it_came_is_not_taken(running: Any) -> None:
    """It is told so, and sends again; nothing is accepted that is not whole (G1)."""
    body = Receipt("x", "json", running.now, {}, b"x" * (PART_BYTES + 1), None)
    packed: Packed = keep_parts(running.store, pack(body))
    assert _sweep(running)["contents"] == 2
    with pytest.raises(Rejected), running.store.writing() as connection:
        keep_receipts(connection, [packed])
    again = keep_parts(running.store, pack(body))
    with running.store.writing() as connection:
        keep_receipts(connection, [again])
    assert len(_bodies(running.store)) == 1


# ---------------------------------------------------------------------- records


@pytest.fixture
def closed(lived: Any) -> Any:
    """The lived day, all of it closed."""
    lived.work()
    _close_all(lived)
    return lived


def test_a_record_goes_three_years_after_it_was_closed_and_leaves_its_tombstone(closed: Any) -> None:
    heads = {row.id: (row.head_seq, bytes(row.head_hash)) for row in closed.records()}
    closed.wait(days=1095)
    _sweep(closed)
    assert _count(closed.store, incidents) == len(heads) > 1
    closed.wait(days=2)
    done = _sweep(closed)
    assert done["incidents"] == len(heads)
    for table in (incidents, timeline, timeline_values, assessments, targets, outbox, deliveries, fold_keys):
        assert _count(closed.store, table) == 0
    with closed.store.reading() as connection:
        left = {row.subject: (row.seq, bytes(row.hash)) for row in connection.execute(select(tombstones))}
        texts = set(connection.execute(select(signals.c.title)).scalars())
    assert left == heads
    assert texts == {""}
    assert _proved(closed.store).tombstones == len(heads)


def test_the_desk_goes_on_after_its_past_is_gone(closed: Any) -> None:
    """The same alert later is a new record, and everything is still counted."""
    closed.wait(days=1100)
    _sweep(closed)
    closed.post(_alerts("zz"))
    closed.post(_alerts("zz"))
    closed.work()
    assert len(closed.records()) == 1
    make_checkpoint(closed.store, closed.now)
    _proved(closed.store)


@pytest.mark.parametrize("change", [
    {"hold_count": 1}, {"closed_at": None}, {"retention_class": "major"}, {"retention_class": "regulatory"},
])  # fmt: skip
def test_what_must_stay_stays(closed: Any, change: dict[str, Any]) -> None:
    """Under hold, not closed, or of a longer class."""
    count = len(closed.records())
    with closed.store.writing() as connection:
        connection.execute(update(incidents).values(**change))
    closed.wait(days=1100)
    assert "incidents" not in _sweep(closed)
    assert len(closed.records()) == count
    _proved(closed.store)


def test_bytes_of_a_record_under_hold_stay(closed: Any) -> None:
    with closed.store.writing() as connection:
        connection.execute(update(incidents).values(hold_count=1))
        held = set(connection.execute(select(signals.c.receipt).where(signals.c.incident.is_not(None))).scalars())
    closed.wait(days=1100)
    _sweep(closed)
    assert _bodies(closed.store) >= held
    with closed.store.writing() as connection:
        connection.execute(update(incidents).values(hold_count=0))
    closed.wait(days=2)
    _sweep(closed)
    assert _bodies(closed.store) == set()
    _proved(closed.store)


def test_a_longer_class_ends_too(closed: Any) -> None:
    with closed.store.writing() as connection:
        connection.execute(update(incidents).values(retention_class="regulatory"))
    closed.wait(days=2558)
    assert _sweep(closed)["incidents"] > 0
    with closed.store.reading() as connection:
        assert set(connection.execute(select(tombstones.c.rule)).scalars()) == {"retention regulatory"}


def test_a_record_that_monitors_still_speak_of_stays(closed: Any) -> None:
    closed.wait(days=1100)
    with closed.store.writing() as connection:
        connection.execute(update(fold_keys).values(last_seen_at=to_micros(closed.now - DAY)))
    assert "incidents" not in _sweep(closed)


def test_a_tombstone_with_another_head_hides_nothing(closed: Any) -> None:
    """Fault 70: who removes a chain must know what its checkpoints saw."""
    closed.wait(days=1100)
    _sweep(closed)
    with closed.store.writing() as connection:
        connection.execute(update(tombstones).values(hash=b"x" * 32))
    with closed.store.reading() as connection:
        broken = verify(connection).first_broken
    assert broken is not None
    assert "checkpoint" in broken.what


# ---------------------------------------------------------------------- the round


def test_it_is_done_once_a_day_by_one_node(running: Any) -> None:
    _sweep(running)
    running.wait(hours=23)
    assert retention_round(running.store, running.now, wait=lambda _: True) is None
    running.wait(hours=2)
    _sweep(running)
    assert _count(running.store, sweeps) == 2


def test_a_clock_that_was_put_back_does_not_stop_it(running: Any) -> None:
    """Fault 105."""
    _sweep(running)
    running.wait(days=-365)
    _sweep(running)


def test_a_clock_that_jumps_a_year_ahead_has_nothing_deleted_for_a_day(closed: Any) -> None:
    """Fault 105. Whoever looks has a day to set it right; a desk that was off for so long waits a day, too."""
    assert retention_round(closed.store, closed.now, wait=lambda _: False) is not None
    closed.wait(days=4 * 366)
    assert retention_round(closed.store, closed.now, wait=lambda _: False) is None
    assert _count(closed.store, incidents) == 3
    closed.wait(days=1)
    assert retention_round(closed.store, closed.now, wait=lambda _: False)["incidents"] == 3  # type: ignore[index] # it is due


def test_old_budgets_and_attempts_go(running: Any) -> None:
    with running.store.writing() as connection:
        connection.execute(budgets.insert(), [
            {"address": f"a{number}@example.com", "kind": "automatic", "hour": to_micros(running.now), "count": 1}
            for number in range(450)
        ])  # fmt: skip
        connection.execute(deliveries.insert(), [
            {"id": number, "outbox": 1, "at": to_micros(running.now), "outcome": "delivered"} for number in range(450)
        ])  # fmt: skip
    running.wait(days=8)
    assert _sweep(running) == {"budgets": 450}
    running.wait(days=400)
    assert _sweep(running) == {"deliveries": 450}


def test_daemons_of_long_ago_are_forgotten_and_their_hosts_are_not(running: Any) -> None:
    """Every start is a node of its own; by the last one its host stays known."""
    with running.store.writing() as connection:
        for day, name in enumerate(("web-1-aaaaaa", "web-1-bbbbbb", "db-cccccc")):
            beat(connection, name, running.now + day * DAY)
    running.wait(days=40)
    with running.store.writing() as connection:
        beat(connection, "db-dddddd", running.now)
    assert _sweep(running) == {"nodes": 2}
    with running.store.reading() as connection:
        assert sorted(load_beats(connection)) == ["db-dddddd", "web-1-bbbbbb"]


def test_it_goes_in_steps_with_pauses_between(closed: Any) -> None:
    """So that doors and turns have the database most of the time."""
    closed.wait(days=1100)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    assert retention_round(closed.store, closed.now, wait=wait) is not None
    assert len(pauses) >= len(("incidents", "contents", "envelopes"))
    assert min(pauses) > 0


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_a_round_that_is_stopped_is_finished_by_the_next(closed: Any, step: int) -> None:
    """Fault 101: after every step the proofs hold, and in the end all is gone."""
    closed.wait(days=1100)
    steps: list[float] = []

    def stop(seconds: float) -> bool:
        steps.append(seconds)
        return len(steps) == step

    assert retention_round(closed.store, closed.now, wait=stop) is not None
    assert len(steps) == step
    _proved(closed.store)
    closed.wait(days=2)
    _sweep(closed)
    assert _count(closed.store, incidents) == 0
    assert _bodies(closed.store) == set()
    _proved(closed.store)


# ---------------------------------------------------------------------- how long it holds the lock


@dataclass(frozen=True, slots=True)
class Watched(Store):
    """A store that counts the rows that each transaction changes, and says how long each held the lock."""

    held: float = 0.001
    changed: list[int] = field(default_factory=list)

    def writing(self) -> Writing:
        return _Watching(self)


class _Watching(Writing):
    def __init__(self, store: Watched) -> None:
        super().__init__(store.engine, lock_path(store.path) if store.path else None)
        self._store, self._rows = store, 0

    def __enter__(self) -> Connection:
        connection = super().__enter__()
        event.listen(self._store.engine, "after_cursor_execute", self._count)
        return connection

    def _count(self, *executed: Any) -> None:
        _, cursor, statement, *_ = executed
        if statement.startswith(("DELETE", "UPDATE")) and "UPDATE sweeps" not in statement:
            self._rows += cursor.rowcount

    def __exit__(self, *left: object) -> None:
        event.remove(self._store.engine, "after_cursor_execute", self._count)
        super().__exit__(*left)  # type: ignore[arg-type] # handed on as it came
        self._store.changed.append(self._rows)
        self.held_seconds = self._store.held


def _watch(running: Any, held: float) -> Watched:
    store = running.store
    running.store = Watched(store.engine, store.kind, store.path, held)
    watched: Watched = running.store
    return watched


@pytest.fixture
def huge(closed: Any) -> Any:
    """A closed record with hundreds of entries, notifications with attempts, and fold keys."""
    with closed.store.writing() as connection:
        record = connection.execute(select(func.min(incidents.c.id))).scalar_one()
        insert_rows(connection, fold_keys, [
            (f"alert:prometheus:{number}", record, 1, "resolved", None, 1, b"", 1, 0, 1, 0) for number in range(250)
        ])  # fmt: skip
        row = connection.execute(select(outbox).where(outbox.c.subject == record).limit(1)).one()
        insert_rows(connection, outbox, [(10**6 + number, *row[1:]) for number in range(200)])
        insert_rows(connection, deliveries, [
            (10**6 + number, 10**6 + number, 1, "delivered", None, None) for number in range(200)
        ])  # fmt: skip
    _grow(closed, record, operator(closed.store, "test"), 200)
    return closed


def _grow(running: Any, record: int, author: Any, count: int) -> None:
    """Add so many notes to a closed record, as if they had been written in its time."""

    def take() -> Any:
        working = Working(running.desk, running.ids, running.now)
        with running.store.reading() as connection:
            load_records(connection, working, {record})
        entries = [Entry(EntryKind.NOTE, author.person, {"text": "x"}, running.now) for _ in range(count)]
        apply(working, Change(working.incidents[record], running.now, entries=entries))
        return lambda connection: save(connection, rows_of(working))

    in_turns(running.store, attempts=1, take=take)


@pytest.mark.parametrize(("held", "most"), [(0.001, 400), (0.016, 50)], ids=["quick", "slow"])
def test_no_transaction_changes_more_rows_than_it_may(huge: Any, held: float, most: int) -> None:
    """Fault 91: not even of a record with thousands of rows; and the proofs hold between any two of its steps."""
    huge.wait(days=1100)
    watched = _watch(huge, held)
    steps = 0

    def prove(_: float) -> bool:
        nonlocal steps
        steps += 1
        if steps % 7 == 1:
            _proved(huge.store)
        return False

    assert retention_round(watched, huge.now, wait=prove) is not None
    assert most / 3 < max(watched.changed) <= most + 4  # a few beside: the record, and what stands in its row
    assert _count(huge.store, timeline) == _count(huge.store, fold_keys) == _count(huge.store, outbox) == 0
    _proved(huge.store)


def test_the_longer_it_holds_the_lock_the_less_it_does_at_once(huge: Any) -> None:
    huge.wait(days=1100)
    watched = _watch(huge, 0.016)
    assert retention_round(watched, huge.now, wait=lambda _: False) is not None
    assert max(watched.changed[5:]) <= 24 < max(watched.changed)


def test_a_record_that_is_half_buried_is_finished_by_the_next_round(huge: Any) -> None:
    """Fault 101: its tombstone stands, its chain has lost its end, and nothing of it is reported as broken."""
    huge.wait(days=1100)
    total = _count(huge.store, timeline)
    stopped = retention_round(huge.store, huge.now, wait=lambda _: 0 < _count(huge.store, timeline) < total)
    assert stopped is not None
    assert 0 < _count(huge.store, timeline) < total
    assert _proved(huge.store).tombstones >= 1
    huge.wait(days=1)
    _sweep(huge)
    assert _count(huge.store, timeline) == _count(huge.store, timeline_values) == 0
    _proved(huge.store)
