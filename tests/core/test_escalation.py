"""Escalation as time passes: each step once, in order, until somebody acknowledges or the record is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from desk.apply import apply
from desk.close import close
from desk.context import Desk
from desk.timer import timer_fired
from desk.working import Working
from incidents.escalation import Path as Steps
from incidents.escalation import Step, due
from incidents.person import Author
from incidents.signal import Alert
from rules.load import Loaded

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CRITICAL = {"severity": "critical", "env": "prod", "service": "checkout"}
LEAD = Author(9003, "Ben Example", frozenset({"manager"}), team="service-desk")
SERVICES = (Path(__file__).parents[2] / "rules" / "packs" / "lean" / "services.yml").read_text()
PATH = Steps("p", [Step(0 * MINUTE, "a"), Step(10 * MINUTE, "b"), Step(20 * MINUTE, "c")], repeat=1)


def fire_at(table: Any, now: datetime, name: str = "escalation.") -> None:
    """What the worker does when the instant of a target has come."""
    table.working.now = now
    for record in table.records():
        for target in table.working.live_targets(record.id, name):
            if target.next_at is not None and target.next_at <= now:
                timer_fired(table.working, target)


def test_a_step_in_time_plans_the_next_from_its_own_instant() -> None:
    """Being looked at some seconds late does not move the path."""
    fired = due(PATH, step=1, round=0, planned=NOON, now=NOON + timedelta(seconds=30))
    assert (fired.step, fired.missed, fired.next_step, fired.next_at) == (1, (), 2, NOON + 10 * MINUTE)


def test_after_a_stop_only_the_latest_due_step_fires_and_the_rest_counts_from_now() -> None:
    """Nobody is called three times at once, and nobody is called again at once."""
    now = NOON + 14 * MINUTE
    fired = due(PATH, step=0, round=0, planned=NOON, now=now)
    assert (fired.step, fired.missed, fired.next_step, fired.next_at) == (1, (0,), 2, now + 10 * MINUTE)


def test_a_path_is_played_as_often_as_it_says_and_then_ends() -> None:
    """Once, and ``repeat`` times more."""
    step, round_, at, played = 0, 0, NOON, []
    for _ in range(20):
        fired = due(PATH, step=step, round=round_, planned=at, now=at)
        played.append((fired.round, fired.step))
        if fired.next_at is None:
            break
        step, round_, at = fired.next_step, fired.next_round, fired.next_at
    assert played == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_each_step_tells_the_next_one_in_time(table: Any, alert: Callable[..., Alert]) -> None:
    """The first at once, the team after ten minutes; between them nothing."""
    table.lay(alert(labels=CRITICAL))
    fire_at(table, NOON + 9 * MINUTE)
    assert len(table.told("escalation")) == 1
    fire_at(table, NOON + 10 * MINUTE)
    assert table.told("escalation")[1:] == ["payments@example.com"]


def test_a_step_that_reaches_nobody_goes_on_to_the_next_at_once(
    alert: Callable[..., Alert], make_desk: Callable[..., Desk], load_with: Callable[[Mapping[str, str]], Loaded],
    table: Any,
) -> None:  # fmt: skip
    """Fault 85: a team without rotation and mail holds up nobody."""
    loaded = load_with({"services.yml": SERVICES.replace("{mail: payments@example.com,  on_call: payments}", "{}")})
    assert loaded.policy is not None, loaded.problems
    there = type(table)(Working(make_desk(loaded.policy), table.working.ids, NOON))
    there.lay(alert(labels=CRITICAL))
    steps = [entry.values["step"] for entry in there.working.entries if entry.kind == "escalated"]
    assert steps == [1, 2, 3]
    assert len(there.told("escalation")) == 1


@pytest.mark.parametrize("how", ["acknowledged", "closed"])
def test_nobody_is_called_for_what_somebody_has_or_is_over(
    table: Any, alert: Callable[..., Alert], how: str
) -> None:
    table.lay(alert(labels=CRITICAL))
    if how == "acknowledged":
        table.lay(alert("acknowledged", labels=CRITICAL), at=NOON + MINUTE)
    else:
        policy = table.working.desk.policy
        apply(table.working, close(table.only(), by=LEAD, at=NOON + MINUTE, policy=policy, reason="a test"))
    fire_at(table, NOON + timedelta(hours=2))
    assert len(table.told("escalation")) == 1


def test_a_timer_that_outlived_its_record_tells_nobody(table: Any, alert: Callable[..., Alert]) -> None:
    """Whatever left it behind: a record that is over calls nobody, and the timer ends."""
    table.lay(alert(labels=CRITICAL))
    record = table.only()
    table.working.incidents[record.id] = table.working.opened[record.id] = replace(record, state="resolved")
    fire_at(table, NOON + timedelta(hours=2))
    assert len(table.told("escalation")) == 1
    assert not table.working.live_targets(record.id, "escalation.")
