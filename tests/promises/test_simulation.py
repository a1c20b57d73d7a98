"""Seeded stories of people and monitors, lived under a made-up clock, with every guarantee checked at each step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_twenty_seeds_break_no_guarantee() -> None:
    """G1 to G8 and G11 for what they say of one desk; the seed of a broken story is in what this prints."""
    played = subprocess.run(
        [sys.executable, "-m", "simulation", "--seeds", "20", "--days", "1", "--shrink", "60"],
        cwd=_ROOT, env=os.environ | {"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False, timeout=570,
    )  # fmt: skip
    assert played.returncode == 0, played.stdout + played.stderr
    assert "20 seeds" in played.stdout
    assert " 0 broken" in played.stdout


def test_a_seed_is_the_same_story_each_time() -> None:
    """Two runs print the same counts, so a broken seed can be seen again."""
    command = [sys.executable, "-m", "simulation", "--seed", "5", "--days", "1"]
    told = [
        subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True, timeout=300).stdout
        for _ in range(2)
    ]
    first, second = (one.rpartition("CPU second")[2] for one in told)
    assert first == second
