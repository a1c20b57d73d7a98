"""P8 and P11: what the desk takes while it does nothing, with much that fires, and until it is ready."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console

from benchmarks import clients
from benchmarks.clients import Numbers
from benchmarks.desk import RunningDesk, running_desk, temporary_folder
from benchmarks.measured import Effort, Measured, middle
from benchmarks.traffic import webhook_posts

_BATCH = 100
_SETTLED_SECONDS = 2.0


def p8(effort: Effort, console: Console) -> Iterator[Measured]:
    """Memory at rest, and with 100,000 alerts that fire."""
    active = effort.count(100_000)
    with running_desk() as desk:
        time.sleep(_SETTLED_SECONDS)
        yield Measured("P8", "memory at rest", desk.pss_mb(), "MB", 150, 110, most=True)
        posts, numbers = webhook_posts(_BATCH), Numbers(_BATCH)
        while desk.count("incidents") < active:
            clients.post(
                desk.webhook, lambda: posts.make(numbers()), connections=4, seconds=1, rate=active / _BATCH / 5
            )
            desk.wait_worked()
        peak = desk.pss_mb()
        console.print(f"  with {desk.count('incidents'):,} incidents")
        yield Measured("P8", f"memory with {active:,} active alerts", peak, "MB", 300, 200, most=True)


def p11(effort: Effort, console: Console) -> Iterator[Measured]:
    """From the command to ready, with a database that is there."""
    del console
    with temporary_folder("start") as folder:
        desk, took = RunningDesk(folder / "desk"), []
        for _ in range(effort.rounds + 1):
            took.append(desk.start())
            desk.stop()
        yield Measured("P11", "cold start to ready", middle(took[1:]), "s", 3, 1, most=True)
