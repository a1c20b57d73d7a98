"""A target by a clock that was set: ``now`` is believed. Fault 105."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from incidents.budget import spent
from incidents.targets import Target, pause, resume, set_right

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
YEAR, DAY, HOUR, MINUTE = timedelta(days=365), timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def promise(begun: datetime, length: timedelta = 8 * HOUR) -> Target:
    due_at = begun + length
    return Target(1, 7, "sla.resolve", "running", begun, due_at, begun + length * 0.8, length)


def test_a_promise_of_a_clock_a_year_ahead_begins_anew() -> None:
    """It is due after its length, and warns before that as it would have."""
    right = set_right(promise(NOON + YEAR), NOON)
    assert right.due_at == NOON + 8 * HOUR
    assert right.next_at == NOON + 6.4 * HOUR


def test_a_promise_that_a_clock_behind_made_too_early_is_due_as_it_was() -> None:
    """Brought back while the clock stood a year behind, it is where it began when the clock is right again."""
    true = promise(NOON)
    behind = set_right(true, NOON - YEAR)
    assert behind.due_at == NOON - YEAR + 8 * HOUR
    assert set_right(behind, NOON + HOUR)[:8] == true[:8]


def test_what_is_right_stays_as_it_is() -> None:
    for target in (
        promise(NOON - HOUR), promise(NOON - DAY)._replace(next_at=None),
        resume(pause(promise(NOON - 20 * HOUR), NOON - 15 * HOUR), NOON - HOUR, [0.8]),
        pause(promise(NOON - 20 * HOUR), NOON - 15 * HOUR),
        promise(NOON - DAY)._replace(next_at=NOON + 4 * MINUTE),
    ):  # fmt: skip
        assert set_right(target, NOON) == target


def test_a_breach_that_was_none_is_looked_at_again() -> None:
    """The clock stood ahead when it was told; by the right one it is still to come."""
    told = promise(NOON)._replace(next_at=None, warned=1)
    assert set_right(told, NOON + HOUR).next_at == told.due_at


def test_what_was_to_be_looked_at_again_next_year_is_looked_at_soon() -> None:
    late = promise(NOON - DAY)._replace(next_at=NOON + YEAR)
    assert set_right(late, NOON).next_at == NOON + 5 * MINUTE


def test_a_clock_that_was_stopped_in_the_future_keeps_what_is_left() -> None:
    stopped = pause(promise(NOON + YEAR), NOON + YEAR + 3 * HOUR)
    right = set_right(stopped, NOON)
    assert right.paused_at == NOON
    assert resume(right, NOON + DAY, [0.8]).due_at == NOON + DAY + 5 * HOUR


@pytest.mark.parametrize("off", [HOUR, -HOUR, YEAR, -YEAR, timedelta()], ids=["+1 h", "-1 h", "+1 y", "-1 y", "0"])
@pytest.mark.parametrize("begun", [0, 1, 9], ids=["now", "1 h ago", "9 h ago"])
def test_once_is_enough_and_nobody_has_more_left_than_was_promised(off: timedelta, begun: int) -> None:
    right = set_right(promise(NOON + off - begun * HOUR), NOON)
    assert set_right(right, NOON) == right
    assert right.due_at - NOON <= right.length + MINUTE


def test_mail_of_the_future_is_no_mail_of_today() -> None:
    """A clock that stood a year ahead does not silence anybody for a year; one set back by an hour forgives nothing."""
    assert spent({NOON + YEAR: 40}, NOON) == (0, 0)
    assert spent({NOON + HOUR: 40, NOON: 2}, NOON) == (42, 42)
