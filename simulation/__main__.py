"""``python -m simulation``: see docs/simulation.md."""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from simulation.author import write_story
from simulation.events import Event
from simulation.house import Setting, make_template
from simulation.play import Failure, Outcome, play
from simulation.shrink import shrink
from simulation.world import Played

_YEAR = 365
_TELL_EVERY = 5.0
#: A file system in memory, where the machine has one: nothing is flushed anyway.
_MEMORY = Path("/dev/shm")  # noqa: S108 - as a folder with a random name


def main() -> int:
    """Play seeds until they, or the time, are over; the exit status."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets must not depend on the run
        again = [sys.executable, "-m", "simulation", *sys.argv[1:]]
        return subprocess.run(again, env=os.environ | {"PYTHONHASHSEED": "0"}, check=False).returncode
    options = _options()
    gc.set_threshold(50_000, 20, 50)  # as the worker has it
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="triaged-simulation-", dir=memory) as name:
        folder = Path(name)
        return Session(options, Setting(folder, make_template(folder))).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description="Lives stories of the desk.")
    parser.add_argument("--seed", type=int, help="play this seed only")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds (50)")
    parser.add_argument("--days", type=int, default=3, help="days of a story (3)")
    parser.add_argument("--years", type=int, default=0, help="years of a story, in place of days")
    parser.add_argument("--seconds", type=float, default=3600, help="begin no seed after so many seconds (3600)")
    parser.add_argument("--shrink", type=float, default=120, help="CPU seconds to make a broken story short (120)")
    parser.add_argument("--keep-going", action="store_true", help="go on after a broken seed")
    options = parser.parse_args()
    options.days = options.years * _YEAR or options.days
    if options.seed is not None:
        options.first, options.seeds = options.seed, 1
    return options


class Session:
    """One run: seed after seed."""

    def __init__(self, options: argparse.Namespace, setting: Setting) -> None:
        self._options, self._setting = options, setting
        self._begun = self._told = time.monotonic()
        self._broken: list[int] = []
        self._total = Played()

    def run(self) -> int:
        """Play all; 1 where a seed was broken."""
        options, played = self._options, 0
        for seed in range(options.first, options.first + options.seeds):
            if time.monotonic() - self._begun > options.seconds:
                break
            self._seed(seed)
            played += 1
            if self._broken and not options.keep_going:
                break
            if time.monotonic() - self._told > _TELL_EVERY:
                self._tell(played)
        self._tell(played)
        return 1 if self._broken else 0

    def _seed(self, seed: int) -> None:
        events = write_story(seed, days=self._options.days)
        outcome = self._play(seed, events)
        for name in ("steps", "rounds", "deaths", "receipts", "records", "mails"):
            setattr(self._total, name, getattr(self._total, name) + getattr(outcome.played, name))
        if outcome.failure is not None:
            self._broken.append(seed)
            self._tell_failure(seed, events, outcome.failure)

    def _play(self, seed: int, events: Sequence[Event]) -> Outcome:
        return play(seed, events, self._setting)

    def _tell(self, played: int) -> None:
        self._told, total = time.monotonic(), self._total
        spent, days = self._told - self._begun, played * self._options.days
        print(
            f"{played} seeds, {days} days in {spent:.0f} s, {days / time.process_time():.1f} days a CPU second:"
            f" {total.receipts} receipts, {total.records} records, {total.mails} mails, {total.steps} checked steps,"
            f" {total.deaths} deaths, {len(self._broken)} broken",
            flush=True,
        )

    def _tell_failure(self, seed: int, events: Sequence[Event], failure: Failure) -> None:
        print(f"\nSeed {seed} breaks a guarantee at step {failure.step}. To see it again: make simulate SEED={seed}")
        _tell_steps(failure)
        if self._options.shrink <= 0:
            return
        short = shrink(
            events, failure, lambda some: self._play(seed, some).failure, seconds=self._options.shrink
        )
        print(f"\n  The shortest story that still breaks it has {len(short.events)} of {len(events)} events:")
        for event in short.events:
            print(f"    {event!r}")
        _tell_steps(short.failure)


def _tell_steps(failure: Failure) -> None:
    print(f"  BROKEN {failure.invariant}: {failure.what}\n  The last steps:")
    for line in failure.last:
        print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
