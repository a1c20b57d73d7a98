"""The street and the desk on it: what everybody in a story shares. Two clocks, what is still to come, and deaths."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import structlog

from desk.receive import Receipt
from simulation.events import Event, Point
from simulation.faults import Crash
from simulation.house import House, Setting
from simulation.letters import START
from simulation.model import Accepted, Model
from simulation.relay import Taken
from simulation.watching import Watch
from store.errors import StoreError


@dataclass(frozen=True, slots=True)
class Sending:
    """Bytes on their way to a door, sent again after so many seconds until it says yes."""

    receipt: Receipt
    accepted: Accepted
    again: int


@dataclass
class Played:
    """How much a story had. ``deaths`` are those that the simulation caused."""

    steps: int = 0
    rounds: int = 0
    deaths: int = 0
    receipts: int = 0
    records: int = 0
    mails: int = 0


class World:
    """``real`` counts seconds on the wall of the street, ``ahead`` how far the desk's clock is from it."""

    def __init__(self, setting: Setting, seed: int) -> None:
        random.seed(seed)  # what the product draws by chance: pauses before it tries again
        self.real = self.ahead = self.down_until = 0
        self.strikes = 0  # deaths, and the times that the database was away
        self.played, self.model = Played(), Model()
        self.last: deque[str] = deque(maxlen=12)
        self.logged: list[dict[str, Any]] = []
        structlog.configure(processors=[self._log])
        self.house = House(setting, seed=seed, now=self.now)
        self.watch = Watch(setting.folder / "triaged.db")
        self.told: dict[tuple[str, int], Taken] = {}  # the last mail to an address about a record
        self._order, self._heap = count(), list[tuple[int, int, Event | Sending]]()

    @property
    def now(self) -> datetime:
        """What the desk's clock says."""
        return START + timedelta(seconds=self.real + self.ahead)

    @property
    def when(self) -> str:
        """The same for people."""
        return f"{self.now:%a %d %b %H:%M:%S}"

    @property
    def down(self) -> bool:
        """Whether the host is down."""
        return self.real < self.down_until

    def close(self) -> None:
        """The end of the story."""
        self.watch.close()
        self.house.close()
        structlog.reset_defaults()

    def _log(self, logger: object, name: str, said: Any) -> Any:
        del logger
        if name in ("error", "critical"):
            self.logged.append(dict(said))
        raise structlog.DropEvent

    # ------------------------------------------------------------------ what is to come

    def later(self, at: int, what: Event | Sending) -> None:
        """Let it happen at an instant."""
        heapq.heappush(self._heap, (at, next(self._order), what))

    def next_at(self) -> int | None:
        """When the next thing happens; None when nothing does."""
        return self._heap[0][0] if self._heap else None

    def next(self) -> Event | Sending:
        """The next thing that happens."""
        return heapq.heappop(self._heap)[2]

    # ------------------------------------------------------------------ what the desk knows

    def record_of(self, thing: str) -> int | None:
        """The record of a mail (``mail:name``) or of a monitor's key (``alert:source:key``), as it stands now."""
        kind, _, name = thing.partition(":")
        if kind == "alert":
            return self.watch.number("SELECT incident FROM fold_keys WHERE key = ?", thing)
        receipt = self.model.mails.get(name, 0)
        return self.watch.number("SELECT incident FROM signals WHERE receipt = ?", receipt)

    def number_of(self, record: int | None) -> int | None:
        """The number of a record."""
        return self.watch.number("SELECT number FROM incidents WHERE id = ?", record or 0)

    # ------------------------------------------------------------------ deaths

    def survive(self, act: Callable[[], object], *, whole: bool) -> Point | None:
        """Do it, and pick up the pieces of what died. What struck it; None where all went well.

        ``whole``: it is the daemon that does it, and not a worker of its own.
        """
        struck = self.house.faults.struck
        try:
            act()
        except Crash as crash:
            self._bury(crash, whole=whole)
            return crash.point
        except StoreError as error:
            if error.permanent or not struck:
                raise
            return struck[-1]
        finally:
            self.strikes += len(struck)
            struck.clear()
        return None

    def _bury(self, crash: Crash, *, whole: bool) -> None:
        """A process died: what watches it starts another, which takes over what its leases left."""
        self.played.deaths += 1
        self.last.append(f"{self.when} a death {crash.point} a write of {_place(crash)}")
        while True:
            try:
                if whole:
                    self.house.start(self.now)
                else:
                    self.house.replace_worker(self.now)
            except (Crash, StoreError):
                continue
            return


def _place(crash: Crash) -> str:
    """Where in the daemon it died."""
    trace, place = crash.__traceback__, "nobody's"
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/daemon/" in code.co_filename:
            place = f"{code.co_filename.rpartition('/')[2]}:{code.co_name}"
        trace = trace.tb_next
    return place
