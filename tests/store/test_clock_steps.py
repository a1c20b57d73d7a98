"""Downtime and a clock that steps make no burst: each overdue timer fires once, pages stay within their limit.

Guarantee G6, faults 105 and 107.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from daemon.outbox import LEASE, MOST_PAUSE
from kit.instants import from_micros, to_micros
from store.audit import make_checkpoint, verify
from store.claims import Lease, claim_receipts, claim_targets, put_back
from store.clock import LONGEST_LEASE, LONGEST_PAUSE, believe_clock
from store.nodes import alive_hosts, beat
from store.queue import PLACE
from store.reconcile import reconcile
from store.tables.incidents import incidents

RECORDS = 20
#: Ten pages to one person in an hour, then one notice of all others.
MOST_PAGES, MOST_NOTICES = 10, 1


def _alerts() -> bytes:
    return json.dumps({"version": "4", "groupKey": "{}", "alerts": [
        {
            "status": "firing", "annotations": {}, "fingerprint": f"{number:016x}",
            "labels": {"alertname": f"A{number}", "severity": "critical", "env": "prod", "service": "checkout"},
            "startsAt": "2026-11-23T11:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        }
        for number in range(RECORDS)
    ]}).encode()  # fmt: skip


@pytest.fixture
def night(running: Any) -> Any:
    """Twenty records that nobody has acknowledged, some minutes after they came."""
    running.post(_alerts())
    running.work()
    running.wait(minutes=3)
    running.fire()
    return running


def _fired(running: Any) -> Counter[str]:
    """All that fires in a minute of rounds."""
    names: Counter[str] = Counter()
    for _ in range(12):
        names.update(running.fire().names)
        running.wait(seconds=5)
    return names


def _sent(running: Any) -> dict[tuple[str, str], int]:
    """Pages that are really sent, by person, and notices."""
    query = (
        "SELECT recipient, CASE WHEN kind = 'notice' THEN 'notice' ELSE 'page' END, count(*) FROM outbox"
        " WHERE state IN ('waiting', 'ready') GROUP BY 1, 2"
    )
    return {(row[0], row[1]): row[2] for row in running.rows(query)}


def _grown(running: Any, before: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    return {key: count - before.get(key, 0) for key, count in _sent(running).items()}


def _no_burst(grown: dict[tuple[str, str], int]) -> bool:
    most = {"page": MOST_PAGES, "notice": MOST_NOTICES}
    return all(count <= most[kind] for (_, kind), count in grown.items())


@pytest.mark.parametrize("step", [
    timedelta(hours=8), timedelta(hours=1), timedelta(hours=-1), timedelta(days=365), timedelta(days=-365),
], ids=["8 h down", "+1 h", "-1 h", "+1 y", "-1 y"])  # fmt: skip
def test_no_step_makes_a_burst(night: Any, step: timedelta) -> None:
    before = _sent(night)
    night.now += step
    fired = _fired(night)
    per_record = {name: count / RECORDS for name, count in fired.items()}
    assert all(times <= 1 for times in per_record.values()), per_record
    if step < timedelta(0):
        assert fired == {}
    else:
        assert fired["escalation.standard"] == RECORDS
    assert _no_burst(_grown(night, before)), _grown(night, before)
    with night.store.reading() as connection:
        assert verify(connection).first_broken is None
        assert reconcile(connection).differences == []


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(days=365)], ids=["1 h", "1 y"])
@pytest.mark.parametrize("sign", [1, -1], ids=["forth", "back"])
def test_a_clock_that_is_put_right_again_makes_none_either(night: Any, step: timedelta, sign: int) -> None:
    """What fired under the wrong clock does not fire again under the right one."""
    night.now += sign * step
    first = _fired(night)
    before = _sent(night)
    night.now -= sign * step
    second = _fired(night)
    assert all((first + second)[name] <= 2 * RECORDS for name in first + second)
    assert _no_burst(_grown(night, before))


def test_what_came_in_while_the_desk_was_down_is_told_within_the_limit(night: Any) -> None:
    """Eight hours of alerts in one go: everyone gets a record, and people some mails and a notice."""
    before = _sent(night)
    for hour in range(8):
        night.wait(hours=1)
        night.post(_alerts().replace(b'"A', b'"B%d' % hour).replace(b'"0000', b'"%04d' % (hour + 1)))
    night.work()
    _fired(night)
    assert len(night.records()) == 9 * RECORDS
    assert _no_burst(_grown(night, before))


# ---------------------------------------------------------------------- what was kept under the wrong clock

YEAR = timedelta(days=365)


def _set_clock(running: Any, step: timedelta) -> Any:
    """The host's clock is set, and the daemon notices."""
    running.now += step
    return believe_clock(running.store, running.now, ahead=step)


def _clocks(running: Any) -> dict[str, timedelta]:
    """How far off the nearest look at each target is, by the target's name."""
    query = "SELECT name, min(next_at) FROM targets WHERE next_at IS NOT NULL GROUP BY name"
    return {name: from_micros(at) - running.now for name, at in running.rows(query)}


def test_what_a_clock_a_year_ahead_set_waits_no_year(running: Any) -> None:
    """The clocks of the records begin when the clock is put right, and the escalation goes on by its steps."""
    running.now += YEAR
    running.post(_alerts())
    running.work()
    wrong = _clocks(running)
    assert _set_clock(running, -YEAR)["targets"] >= RECORDS
    assert _clocks(running) == wrong
    with running.store.reading() as connection:
        misplaced = connection.execute(select(incidents.c.id).where(incidents.c.due_at != PLACE)).all()
    assert misplaced == []
    running.wait(hours=9)
    assert set(running.fire().names) >= {"sla.respond", "escalation.standard"}
    assert _set_clock(running, timedelta()) == {}


def test_a_clock_a_year_behind_makes_no_promise_late(night: Any) -> None:
    """What it dragged back is where it was once the clock is right, and no promise is called broken."""
    true = night.rows("SELECT name, subject, due_at FROM targets WHERE substr(name, 1, 4) = 'sla.' ORDER BY id")
    _set_clock(night, -YEAR)
    _fired(night)
    assert max(_clocks(night).values()) < timedelta(days=30)
    _set_clock(night, YEAR)
    assert night.rows("SELECT name, subject, due_at FROM targets WHERE substr(name, 1, 4) = 'sla.' ORDER BY id") == true
    fired = _fired(night)
    assert [name for name in fired if name.startswith("sla.")] == []
    assert all(count <= RECORDS for count in fired.values())


@pytest.mark.parametrize("sign", [1, -1], ids=["forth", "back"])
def test_a_clock_that_is_noticed_makes_no_burst(night: Any, sign: int) -> None:
    for step in (sign * YEAR, -sign * YEAR):
        before = _sent(night)
        _set_clock(night, step)
        fired = _fired(night)
        assert all(count <= RECORDS for count in fired.values()), fired
        assert _no_burst(_grown(night, before)), _grown(night, before)


def test_leases_of_the_future_end_within_a_minute(night: Any) -> None:
    """A receipt whose turn failed under the wrong clock is taken again, not next year."""
    assert LONGEST_LEASE >= LEASE
    night.now += YEAR
    night.post(_alerts())
    with night.store.writing() as connection:
        (claimed,) = claim_receipts(connection, Lease("worker.9", night.now, LONGEST_LEASE), 1)
        put_back(connection, "worker.9", [claimed.id], now=night.now)
        claim_targets(connection, Lease("worker.9", night.now, LONGEST_LEASE), 5)
    assert _set_clock(night, -YEAR)["leases"] >= 1
    night.wait(seconds=61)
    with night.store.writing() as connection:
        (again,) = claim_receipts(connection, Lease("worker.1", night.now, LONGEST_LEASE), 1)
    assert again.id == claimed.id


def _untold(running: Any) -> list[Any]:
    query = "SELECT id, created_at, next_at, expires_at FROM outbox WHERE next_at IS NOT NULL ORDER BY created_at, id"
    rows: list[Any] = running.rows(query)
    return rows


def test_what_a_clock_a_year_ahead_has_to_tell_is_told_now_and_in_order(running: Any) -> None:
    assert LONGEST_PAUSE >= MOST_PAUSE
    running.now += YEAR
    running.post(_alerts())
    running.work()
    running.wait(minutes=90)
    running.fire()
    wrong = _untold(running)
    assert len({row[1] for row in wrong}) > 1
    assert _set_clock(running, -YEAR)["notifications"] == len(wrong)
    right = _untold(running)
    assert [row[0] for row in right] == [row[0] for row in wrong]
    assert len({row[1] for row in right}) == len({row[1] for row in wrong})
    now = to_micros(running.now)
    assert all(created <= now for _, created, _, _ in right)
    assert all(expires <= to_micros(running.now + timedelta(days=5)) for *_, expires in right)


def test_a_clock_that_jumps_ahead_lets_no_mail_expire(night: Any) -> None:
    """How long it is tried is a length of time; the relay was away and had no year to come back."""
    before = _untold(night)
    assert before
    _set_clock(night, YEAR)
    assert all(expires > to_micros(night.now) for *_, expires in _untold(night))
    assert [row[0] for row in _untold(night)] == [row[0] for row in before]


def test_what_was_written_after_a_checkpoint_of_the_future_is_seen_by_the_next(night: Any) -> None:
    make_checkpoint(night.store, night.now + YEAR)
    night.wait(minutes=20)
    assert night.fire().names
    seen = night.rows("SELECT count(*) FROM checkpoint_heads")
    assert make_checkpoint(night.store, night.now) is not None
    assert night.rows("SELECT count(*) FROM checkpoint_heads") > seen
    with night.store.reading() as connection:
        assert verify(connection).first_broken is None


def test_a_node_of_the_future_is_not_taken_for_alive(night: Any) -> None:
    """Its beat by a clock that stood ahead would keep a strange host from holding its deliveries for a year."""
    with night.store.writing() as connection:
        beat(connection, "web.example.com-aaaaaa", night.now + YEAR)
        assert alive_hosts(connection, night.now) == set()
    assert believe_clock(night.store, night.now) == {"nodes": 1}
