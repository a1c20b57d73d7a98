"""P7: the same with years behind it: 200,000 incidents and a million signals."""

from __future__ import annotations

import gc
from collections.abc import Iterator

from rich.console import Console

from benchmarks.history import fill
from benchmarks.measured import Effort, Measured, middle
from benchmarks.traffic import webhook_posts
from benchmarks.turn import BATCH, TurnBench, fresh_store

_INCIDENTS = 200_000


def p7(effort: Effort, console: Console) -> Iterator[Measured]:
    """Working distinct and repeated alerts with a long history, against an empty store."""
    gc.set_threshold(500_000, 20, 50)  # as a worker has it
    count, receipts = effort.count(_INCIDENTS), effort.count(1_000)
    with fresh_store("sqlite") as empty, fresh_store("sqlite") as filled:
        console.print(f"  putting {count:,} incidents there")
        fill(filled, incidents=count)
        benches = {"empty": TurnBench(empty, webhook_posts(BATCH)), "filled": TurnBench(filled, webhook_posts(BATCH))}
        rates: dict[tuple[str, str], list[float]] = {}
        for turn in range(effort.rounds + 1):
            for name, bench in benches.items():
                for what in ("distinct", "repeated"):
                    worked = bench.run((turn + 1) * 1_000_000, receipts)
                    if turn:  # the first one warms caches and compiles statements
                        rates.setdefault((what, name), []).append(1e6 / worked.cpu_micros)
        for what in ("distinct", "repeated"):
            now, before = middle(rates[what, "filled"]), middle(rates[what, "empty"])
            yield Measured("P7", f"{what} a CPU second, {count:,} incidents", now, "alerts", 0.8, 0.9, peer=before)
