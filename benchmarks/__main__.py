"""`make bench`: measures the goals of docs/performance.md and prints them beside what they should be."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.desk import NotMeasured
from benchmarks.doors import p1, p2, p5
from benchmarks.machine import machine
from benchmarks.measured import Effort, Goal, Measured, table_of
from benchmarks.nodes import p10
from benchmarks.pages import p9
from benchmarks.past import p7
from benchmarks.standing import p8, p11
from benchmarks.work import p3, p4, p6

GOALS: dict[str, Goal] = {
    "machine": machine, "p1": p1, "p2": p2, "p3": p3, "p4": p4, "p5": p5, "p6": p6, "p7": p7, "p8": p8, "p9": p9,
    "p10": p10, "p11": p11,
}  # fmt: skip
#: Left out unless they are named: filling a store for them takes minutes.
_LONG = ("p7", "p9")
_NOTE = (
    "The policy is the pack `lean` as shipped, but the limits of automatic mail are raised, for P6 counts "
    "acknowledgements.\nClient and server share the processors. `reached`: aim, must, half of the must, or miss."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("goals", nargs="*", help=f"of {', '.join(GOALS)}; all but {', '.join(_LONG)} when left out")
    asked.add_argument("--quick", action="store_true", help="shorter legs: figures are rough")
    asked.add_argument("--all", action="store_true", help="the long ones, too")
    asked.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = asked.parse_args(arguments)
    unknown = [name for name in options.goals if name not in GOALS]
    if unknown:
        asked.error(f"there is no goal {unknown[0]!r}; expected some of {', '.join(GOALS)}")
    effort = Effort(1.0, 1, quick=True) if options.quick else Effort(2.5, 3, quick=False)
    names = options.goals or [name for name in GOALS if options.all or name not in _LONG]
    console, begun = Console(highlight=False, soft_wrap=True), time.monotonic()
    console.width = max(console.width, 132)
    measured = list(_measure(names, effort, console))
    console.print(table_of(measured))
    console.print(f"{_NOTE}\nTook {time.monotonic() - begun:.0f} seconds.")
    if options.json is not None:
        options.json.write_text(json.dumps([one.as_json() for one in measured], indent=1) + "\n")
    return 0


def _measure(names: Sequence[str], effort: Effort, console: Console) -> list[Measured]:
    measured: list[Measured] = []
    for name in names:
        console.print(f"[bold]{name}[/] {(GOALS[name].__doc__ or '').strip()}")
        try:
            measured.extend(GOALS[name](effort, console))
        except NotMeasured as error:
            console.print(f"  not measured: {error}", style="yellow")
    return measured


if __name__ == "__main__":
    raise SystemExit(main())
