"""The turn by itself, in one process: no doors, no arrival, no second core. `python -m benchmarks.turn --help`.

It shows what working an item costs by stage, on both databases, and is what to profile (`--profile`).
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from benchmarks.desk import NotMeasured, temporary_folder
from benchmarks.history import fill
from benchmarks.postgresql import new_database, postgresql_server
from benchmarks.traffic import Posts, webhook_posts
from daemon.clock import utc_now
from daemon.desks import make_desk
from daemon.ids import Ids
from daemon.inbox import Inbox
from daemon.policy import read_policy
from daemon.stages import Stages
from desk.receive import Receipt
from store.engine import Store, open_store
from store.migrate import migrate
from store.receipts import keep_receipts, pack

STAGES = ("claim", "load", "parse", "decide", "save", "commit")
BATCH = 10
_ENVELOPE = {"type": "application/json", "peer": "127.0.0.1", "agent": ""}


class NoMails:
    """Stands where the mail parser is: there are alerts only."""

    def parse(self, mails: Sequence[tuple[bytes, Mapping[str, object]]]) -> Sequence[Any]:
        """Nothing to parse."""
        assert not mails
        return ()


@dataclass(frozen=True, slots=True)
class Worked:
    """How many items were worked in how long, and the processor time of each stage in seconds."""

    items: int
    seconds: float
    stages: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Items a second."""
        return self.items / self.seconds

    def micros(self, stage: str) -> float:
        """Microseconds of processor time an item."""
        return self.stages.get(stage, 0.0) / self.items * 1e6

    @property
    def cpu_micros(self) -> float:
        """The same over all stages."""
        return sum(self.micros(stage) for stage in STAGES)


class TurnBench:
    """A store, an inbox, and receipts put before it."""

    def __init__(self, store: Store, posts: Posts) -> None:
        policy = read_policy(None, framework="lean", zone=ZoneInfo("UTC")).policy
        assert policy is not None
        self.store, self._posts, self._stages = store, posts, Stages()
        self._desk = make_desk(
            store, policy, domain="example.com", addresses={"support@example.com": "support"}, groups={"prom": "prom"}
        )
        self._inbox = Inbox(store, ids=Ids(store), parser=NoMails(), owner="bench", stages=self._stages)

    def run(self, first: int, receipts: int) -> Worked:
        """Keep receipts with alerts ``first`` and following, and work them."""
        for start in range(0, receipts, 500):
            packed = [
                pack(Receipt("prom", "alertmanager", utc_now(), _ENVELOPE, self._posts.make(first + BATCH * one), None))
                for one in range(start, min(start + 500, receipts))
            ]
            with self.store.writing() as connection:
                keep_receipts(connection, packed)
        self._stages.drain()
        begun, items = time.perf_counter(), 0
        while (done := self._inbox.round(self._desk, utc_now())).busy:
            if done.errors:
                raise done.errors[0][1]
            items += sum(done.dispositions.values())
        return Worked(items, time.perf_counter() - begun, self._stages.drain())


@contextmanager
def fresh_store(kind: str) -> Iterator[Store]:
    """An empty, migrated store of that kind."""
    with temporary_folder("turn") as folder:
        if kind == "sqlite":
            yield from _opened(f"sqlite:///{folder}/triaged.db")
        else:
            with postgresql_server() as server:
                yield from _opened(new_database(server))


def _opened(url: str) -> Iterator[Store]:
    migrate(url, create=True)
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def measure(kind: str, *, receipts: int, history: int = 0) -> Iterator[tuple[str, Worked]]:
    """Distinct alerts, the same again, and distinct ones once more; after ``history`` stored incidents."""
    with fresh_store(kind) as store:
        bench = TurnBench(store, webhook_posts(BATCH))
        bench.run(0, 20)  # statements are compiled and caches filled
        if history:
            fill(store, incidents=history)
        first = 1_000_000
        yield "distinct", bench.run(first, receipts)
        yield "repeated", bench.run(first, receipts)
        yield "distinct again", bench.run(2 * first, receipts)


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.turn")
    asked.add_argument("--kind", choices=("sqlite", "postgresql", "both"), default="both")
    asked.add_argument("--receipts", type=int, default=500, help="of ten alerts each (at most 20000)")
    asked.add_argument("--history", type=int, default=0, help="incidents stored before, with five signals each")
    asked.add_argument("--profile", action="store_true", help="print where the time goes; slows everything down")
    options = asked.parse_args()
    gc.set_threshold(500_000, 20, 50)  # as a worker has it
    profile = cProfile.Profile()
    table = Table("store", "items", "a second", "CPU µs each", *STAGES)
    if options.profile:
        profile.enable()
    for kind in ("sqlite", "postgresql") if options.kind == "both" else (options.kind,):
        for what, worked in measure(kind, receipts=min(options.receipts, 20_000), history=options.history):
            figures = [worked.rate, worked.cpu_micros, *(worked.micros(stage) for stage in STAGES)]
            table.add_row(kind, what, *(f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" for figure in figures))
    profile.disable()
    Console().print(table)
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    try:
        main()
    except NotMeasured as error:
        raise SystemExit(str(error)) from None
