"""The daemon notices that the wall clock was set, beside one that nobody can set. Fault 105."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from daemon.clock import Clock

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
YEAR, HOUR = timedelta(days=365), timedelta(hours=1)


class Walls:
    """A host: its wall clock, and how long it runs."""

    def __init__(self) -> None:
        self.wall, self.runs = NOW, 1000.0
        self.clock = Clock(wall=lambda: self.wall, steady=lambda: self.runs)

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.runs += seconds


def test_time_that_passes_is_no_jump() -> None:
    host = Walls()
    host.wait(1_000_000)
    assert host.clock.jumped() is None
    assert host.clock.now() == host.wall


@pytest.mark.parametrize("step", [HOUR, -HOUR, YEAR, -YEAR, timedelta(seconds=61)], ids=str)
def test_a_clock_that_is_set_is_noticed_once(step: timedelta) -> None:
    host = Walls()
    host.wait(5)
    host.wall += step
    jump = host.clock.jumped()
    assert jump is not None
    assert abs(jump - step) < timedelta(milliseconds=1)
    host.clock.believe(jump)
    assert host.clock.jumped() is None
    assert not host.clock.settled
    host.wait(61)
    assert host.clock.settled


def test_small_steps_are_no_jump_until_they_add_up_to_one() -> None:
    host = Walls()
    for _ in range(2):
        host.wall += timedelta(seconds=29)
        host.wait(5)
        assert host.clock.jumped() is None
    host.wall += timedelta(seconds=29)
    assert host.clock.jumped() is not None
