"""``python -m simulation``: see docs/simulation.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from simulation.author import write_story
from simulation.house import Setting, make_template
from simulation.play import Played, Player, Story

_YEAR = 365


def main() -> int:
    """Play seeds until they, or the time, are over; the exit status."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets must not depend on the run
        os.execve(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"})
    options = _options()
    with tempfile.TemporaryDirectory(prefix="triaged-simulation-") as name:
        folder = Path(name)
        setting = Setting(folder, make_template(folder))
        return _play_all(options, setting)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this seed only")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=50, help="how many seeds")
    parser.add_argument("--days", type=int, default=14, help="days of a story")
    parser.add_argument("--seconds", type=float, default=3600, help="stop after so many seconds")
    parser.add_argument("--keep-going", action="store_true", help="go on after a broken seed")
    return parser.parse_args()


def _play_all(options: argparse.Namespace, setting: Setting) -> int:
    begun, broken = time.monotonic(), 0
    seeds: Sequence[int] = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = [options.seed]
    for place, seed in enumerate(seeds):
        start = time.monotonic()
        story = Story(seed, write_story(seed, days=options.days))
        played = Player(story, setting).play()
        spent = time.monotonic() - start
        print(
            f"seed {seed}: {len(story.events)} events, {played.steps} steps, {played.rounds} rounds,"
            f" {played.deaths} deaths, {played.records} records, {played.mails} mails, {spent:.1f} s"
        )
        if played.failure is not None:
            broken += 1
            _tell(seed, played)
            if not options.keep_going:
                return 1
        if time.monotonic() - begun > options.seconds:
            break
    return 1 if broken else 0


def _tell(seed: int, played: Played) -> None:
    failure = played.failure
    assert failure is not None
    print(f"BROKEN seed {seed}, step {failure.step}, second {failure.at}")
    print(f"  {failure.invariant}: {failure.what}")
    for line in failure.last:
        print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
