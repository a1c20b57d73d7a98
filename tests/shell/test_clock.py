"""The daemon notices that the wall clock was set, beside one that nobody can set. Fault 105."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.app import App
from daemon.clock import Clock
from daemon.example import write_example
from daemon.lifecycle import read_all
from kit.instants import to_micros
from store.engine import open_store
from store.errors import StoreError
from store.migrate import migrate
from store.nodes import beat, load_beats

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


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A composed daemon that is not started."""
    write_example(tmp_path / "desk")
    path = tmp_path / "desk" / "triaged.yml"
    read = read_all(path)
    assert read.config is not None
    assert read.policy is not None
    migrate(read.config.store, create=True)
    store = open_store(read.config.store)
    yield App(read.config, path=path, policy=read.policy, store=store)
    store.close()


def _jumps(app: App) -> str:
    lines = app.metrics_text().decode().splitlines()
    return next(line for line in lines if line.startswith("triaged_clock_jump_total"))


def test_a_jump_is_counted_and_what_was_kept_is_put_right_before_anybody_acts(app: App) -> None:
    """A beat of the year ahead is brought back, and one of the minute after the jump, from what was under way, too."""
    host = Walls()
    app.clock = host.clock
    with app.store.writing() as connection:
        beat(connection, "web.example.com-aaaaaa", NOW + YEAR)
    assert _jumps(app).endswith(" 0.0")
    host.wall -= HOUR
    assert asyncio.run(app._now()) == host.wall
    assert _jumps(app).endswith(" 1.0")
    assert max(_beats(app)) == to_micros(host.wall)
    with app.store.writing() as connection:
        beat(connection, "web.example.com-aaaaaa", NOW + YEAR)
    asyncio.run(app._beat())
    assert max(_beats(app)) == to_micros(host.wall)
    assert _jumps(app).endswith(" 1.0")


def test_a_store_that_is_away_lets_no_jump_be_forgotten(app: App) -> None:
    host = Walls()
    app.clock = host.clock
    host.wall += YEAR
    app.store.close()
    moved = app.config.store.removeprefix("sqlite:///")
    Path(moved).rename(f"{moved}.away")
    with pytest.raises(StoreError):
        asyncio.run(app._now())
    Path(f"{moved}.away").rename(moved)
    assert host.clock.jumped() is not None
    asyncio.run(app._now())
    assert host.clock.jumped() is None
    assert _jumps(app).endswith(" 1.0")


def _beats(app: App) -> list[int]:
    with app.store.reading() as connection:
        return list(load_beats(connection).values())
