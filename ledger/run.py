"""One run: senders, trouble, and the verdict."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from daemon.clock import utc_now
from ledger.database import postgresql_server
from ledger.errors import LedgerError, OutOfTime
from ledger.house import House
from ledger.senders import GROUP, Monitor, People, SecondMonitor, Sender, Shop, Told, titles_of
from ledger.sink import Sink
from ledger.trouble import KINDS, Scene, small_disk
from ledger.verdict import Expected, Verdict, find_undone, judge
from store.engine import Store, open_store
from store.errors import StoreError
from store.steering import retry_notification
from store.tables.outbox import outbox

#: How long the desk may take to finish what was sent, in seconds.
FINISH = 600.0
_LOOK = 0.5
#: Between two strikes at least, in seconds, so that a desk that stands still is not all that is struck.
_BREATH = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: a kind of trouble so many times, while so many mails, alerts and orders are sent."""

    kind: str
    database: str
    mails: int = 8_000
    alerts: int = 10_000
    orders: int = 2_000
    strikes: int = 41
    seed: int = 1

    @property
    def groups(self) -> int:
        """Posts of the monitors."""
        return self.alerts // GROUP


@dataclass
class Outcome:
    """What a run came to."""

    plan: Plan
    verdict: Verdict
    struck: Counter[str] = field(default_factory=Counter)
    again: int = 0
    seconds: float = 0.0
    later: int = 0
    dropped: int = 0

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.verdict.faults

    def line(self) -> str:
        """One line for people."""
        found, plan = self.verdict, self.plan
        struck = f"{self.struck.total()} {'kills' if plan.kind in ('kill9', 'steps') else 'strikes'}"
        return (
            f"ledger {plan.database} {plan.kind}: {found.sent:,} sent ({self.again:,} again), {struck},"
            f" {found.lost} lost, {found.doubled} doubled, {found.quarantined} quarantined,"
            f" {found.notifications:,} notifications in {found.handed_over:,} mails,"
            f" {found.two_message_ids} with two Message-IDs, {found.unequal} with unequal bytes,"
            f" {found.escalations} escalations fired once, {self.seconds:.0f} s:"
            f" {'chain clean, reconcile clean' if self.good else 'FAULTS'}"
        )

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            **asdict(self.plan), **asdict(self.verdict), "struck": dict(self.struck), "again": self.again,
            "relay_said_later": self.later, "relay_dropped": self.dropped, "seconds": round(self.seconds, 1),
            "good": self.good,
        }  # fmt: skip


def run(plan: Plan, *, store_url: str | None = None) -> Outcome:
    """Send, strike, wait and judge. Raises `LedgerError` where there is no verdict.

    ``store_url`` names an empty database where the run shall not make its own.
    """
    with scene_of(plan, store_url) as (scene, sink):
        return Run(plan, scene, sink).go()


@contextmanager
def scene_of(plan: Plan, store_url: str | None = None) -> Iterator[tuple[Scene, Sink]]:
    """A house with its database and its relay, nothing started; all of it is gone afterwards."""
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="triaged-ledger-"))
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as nobody
        server = disk = None
        if plan.database == "postgresql" and store_url is None:
            server = stack.enter_context(postgresql_server(folder / "pg"))
            store_url = server.new_database()
        if plan.kind == "full":
            disk = stack.enter_context(small_disk(folder / "disk"))
            store_url = f"sqlite:///{disk / 'triaged.db'}"
        sink = Sink(seed=plan.seed)
        stack.callback(sink.close)
        house = House(folder / "desk", store_url or f"sqlite:///{folder / 'desk' / 'state' / 'triaged.db'}", sink.port)
        stack.callback(house.close)
        yield Scene(house, random.Random(plan.seed), server, disk), sink


class Run:
    """One run in a scene."""

    def __init__(self, plan: Plan, scene: Scene, sink: Sink) -> None:
        self._plan, self._scene, self._sink = plan, scene, sink
        self._told = Told()
        self._struck: Counter[str] = Counter()

    def go(self) -> Outcome:
        """From the first mail to the verdict."""
        begun = time.monotonic()
        self._scene.house.start()
        senders = make_senders(self._scene.house, self._plan, self._told)
        for sender in senders:
            sender.start()
        self._strike_while(senders)
        for sender in senders:
            sender.join()
            if sender.error is not None:
                raise sender.error
        self._sink.trouble = False
        store = open_store(self._scene.house.store_url)
        try:
            finish(store)
            status = self._scene.house.stop()
            with store.reading(longest=None) as connection:
                verdict = judge(connection, expected_of(self._plan, self._told), self._sink.mails())
        finally:
            store.close()
        verdict.tell("the daemon ended with", [status] if status else [])
        if self._plan.kind == "full":  # a relay that breaks off is handed its mail again, and nobody else
            again = verdict.handed_over - verdict.notifications - self._sink.dropped
            verdict.tell("mails that went out again because of the full disk", range(again))
        return Outcome(
            self._plan, verdict, self._struck, self._told.again, time.monotonic() - begun, self._sink.later,
            self._sink.dropped,
        )  # fmt: skip

    def _strike_while(self, senders: Sequence[Sender]) -> None:
        """Strike as sending goes on, evenly; what is left once all is sent strikes the work that is left."""
        plan, chance = self._plan, self._scene.chance
        everything = plan.mails + plan.groups * GROUP + plan.orders
        for number in range(1, plan.strikes + 1):
            while self._told.sent < everything * number / (plan.strikes + 1) and any(one.is_alive() for one in senders):
                time.sleep(0.01)
            time.sleep(chance.uniform(0, _BREATH))
            self._struck[KINDS[plan.kind](self._scene)] += 1


def make_senders(house: House, plan: Plan, told: Told) -> Sequence[Sender]:
    """Three people's mail servers, a pair of monitors and a shop."""
    seed = plan.seed * 100
    return [
        *(People(house, told, range(first, plan.mails, 3), seed + first) for first in range(3)),
        Monitor(house, told, range(plan.groups), seed + 10),
        SecondMonitor(house, told, range(plan.groups), seed + 11),
        Shop(house, told, range(plan.orders), seed + 20),
    ]


def expected_of(plan: Plan, told: Told) -> Expected:
    """What there must be in the end."""
    titles, paging = titles_of(range(plan.mails), range(plan.groups), range(plan.orders))
    return Expected(titles, paging, {"mail": plan.mails, "json": plan.orders}, frozenset(told.receipts))


def finish(store: Store, patience: float = FINISH) -> None:
    """Wait until all is done; what the relay put off is tried again at once, as an operator may. Raises `OutOfTime`."""
    until, undone = time.monotonic() + patience, "everything"
    while undone:
        if time.monotonic() > until:
            raise OutOfTime(f"after {patience:.0f} seconds there are still {undone}")
        time.sleep(_LOOK)
        try:
            with store.reading() as connection:
                undone = find_undone(connection)
            _hurry(store)
        except StoreError as error:
            if error.permanent:
                raise LedgerError(str(error)) from error


def _hurry(store: Store) -> None:
    with store.reading() as connection:
        put_off = select(outbox.c.id).where(outbox.c.attempts > 0, outbox.c.next_at.is_not(None)).limit(500)
        ids = list(connection.execute(put_off).scalars())
    if not ids:
        return
    with store.writing() as connection:
        for number in ids:
            retry_notification(connection, number, utc_now())
