"""Promises as time passes: warned once, met to the instant, moved with the priority, and told when they are broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from desk.apply import apply
from desk.override import replan
from desk.reopen import reopen
from desk.restore import restore
from desk.timer import timer_fired
from incidents.person import Author
from incidents.signal import Alert
from incidents.targets import Target, meet, next_look
from rules.policy import Policy, Promise

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICRO = timedelta(microseconds=1)
LEAD = Author(9003, "Ben Example", frozenset({"manager"}), team="service-desk")


def promise(**more: Any) -> Target:
    return Target(1, 2, "sla.restore", "running", NOON, NOON + 4 * HOUR, None, 4 * HOUR)._replace(**more)


@pytest.mark.parametrize(
    ("at", "state"), [(4 * HOUR - MICRO, "met"), (4 * HOUR, "met"), (4 * HOUR + MICRO, "met_late")]
)
def test_what_happens_at_the_due_instant_is_in_time(at: timedelta, state: str) -> None:
    assert meet(promise(), NOON + at, 7).state == state


def test_each_warning_is_given_once_and_then_the_breach() -> None:
    """At 50 % and 80 % of four hours, then when it is due."""
    looks = [next_look(promise(warned=warned), [0.8, 0.5]) for warned in (0, 1, 2)]
    assert looks == [NOON + 2 * HOUR, NOON + 3.2 * HOUR, NOON + 4 * HOUR]


@pytest.mark.parametrize(("early", "breached"), [(MICRO, False), (timedelta(), True)])
def test_a_promise_is_broken_at_its_instant_and_not_before(
    table: Any, alert: Callable[..., Alert], early: timedelta, breached: bool  # noqa: FBT001 - a table's column
) -> None:
    """The team is told which, near or over, in one mail, though two warnings had become due by then."""
    table.lay(alert(labels={"severity": "critical", "env": "prod"}))
    (respond,) = table.working.live_targets(table.only().id, "sla.respond")
    table.working.now = respond.due_at - early
    timer_fired(table.working, respond)
    (told,) = [one for one in table.working.outgoing.values() if one.kind == "deadline"]
    assert told.facts["breached"] is breached
    (after,) = table.working.live_targets(table.only().id, "sla.respond")
    assert after.next_at == (None if breached else respond.due_at)


def test_a_new_priority_moves_the_due_instant_by_the_difference(policy: Policy) -> None:
    """What was used stays used, also of a clock that stands; what the priority does not promise stays."""
    running, paused, other = promise(warned=1), promise(state="paused", paused_at=NOON), promise(name="sla.resolve")
    moved = [
        move.target for move in replan([running, paused, other], [Promise("restore", HOUR, "always")], policy)  # type: ignore[union-attr]
    ]
    assert [(one.due_at, one.length, one.warned) for one in moved] == [(NOON + HOUR, HOUR, 0)] * 2
    assert moved[0].next_at == next_look(moved[0], policy.warn_at)
    assert moved[1].next_at is None


def test_what_was_only_restored_comes_back_to_who_has_it(
    table: Any, alert: Callable[..., Alert], policy: Policy
) -> None:
    """No new promise and no new call: nobody was told that it is over."""
    table.lay(alert(labels={"severity": "critical", "env": "prod"}))
    taken = replace(table.only(), state="working", assignee=5, acknowledged_at=NOON, acknowledged_by=5)
    restored = apply(table.working, restore(taken, by=LEAD, at=NOON, policy=policy, text=""))
    promises = [Promise("respond", HOUR, "always")]
    back = apply(
        table.working, reopen(restored, by=LEAD, at=NOON, policy=policy, reason="not yet", promises=promises)
    )
    assert (back.state, back.acknowledged_by) == ("working", 5)
    assert {target.name for target in table.working.live_targets(back.id)} == {"sla.resolve", "sla.respond"}
