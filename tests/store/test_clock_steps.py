"""Downtime and a clock that steps make no burst: each overdue timer fires once, pages stay within their limit.

Guarantee G6, faults 105 and 107.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from store.audit import verify
from store.reconcile import reconcile

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
