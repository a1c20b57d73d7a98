"""What the machine can do by itself: every figure beside it is to be read by these."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console

from benchmarks.desk import temporary_folder
from benchmarks.measured import Effort, Measured

_SECONDS = 0.7


def machine(effort: Effort, console: Console) -> Iterator[Measured]:
    """Flushes and commits a second."""
    del effort
    console.print(f"  {os.cpu_count()} processors, {_processor()}, Python {platform.python_version()}")
    yield Measured("machine", "processors busy with other work", _busy_elsewhere(), "", more={"load": os.getloadavg()})
    with temporary_folder("machine") as folder:
        with (folder / "probe").open("wb", buffering=0) as probe:
            yield Measured("machine", "append 4 KB and fsync", _rate(partial(_append, probe.fileno())), "1/s")
        database = sqlite3.connect(folder / "probe.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE probe (id INTEGER PRIMARY KEY, word TEXT)")
        for rows in (1, 100):
            what = f"SQLite, WAL and FULL, {rows} rows a commit"
            yield Measured("machine", what, _rate(partial(_commit, database, rows)) * rows, "rows/s")
        database.close()


def _busy_elsewhere() -> float:
    """How many processors others use while we wait; beyond a tenth of one, rates are too low and latencies too long."""
    before = psutil.cpu_times()
    time.sleep(_SECONDS)
    after = psutil.cpu_times()
    idle = (after.idle - before.idle) + (after.iowait - before.iowait)
    return max((os.cpu_count() or 1) - idle / _SECONDS, 0.0)


def _rate(do: Callable[[], None]) -> float:
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < _SECONDS:
        do()
        times += 1
    return times / (time.perf_counter() - begun)


def _append(file: int) -> None:
    os.write(file, bytes(4096))
    os.fsync(file)


def _commit(database: sqlite3.Connection, rows: int) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.executemany("INSERT INTO probe (word) VALUES (?)", [("a word of some length",)] * rows)
    database.execute("COMMIT")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
