"""The daemon, composed: doors, committer, workers, hand-over, upkeep. No globals; tests compose it too.

Its process runs the event loop and nothing that computes: what doors accept is committed by one thread, everything
else is done by worker processes, and the loop only hands bytes on.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from console.health import Health
from daemon.activation import Given
from daemon.acts import Acts
from daemon.clock import Clock
from daemon.committer import Committer
from daemon.config import Config
from daemon.desks import make_desk
from daemon.doors import Doors
from daemon.journeys import Journeys
from daemon.logs import get_log
from daemon.metrics import Metrics
from daemon.nodes import BEAT_EVERY, Nodes
from daemon.notify import Manager
from daemon.outbox import handover_round, pause_after
from daemon.pages import StorePages
from daemon.policy import read_policy
from daemon.processes import WorkerProcess
from daemon.roles import ALL, Role, Roles
from daemon.watch import Watch
from desk.context import Desk
from desk.ports import Pages
from desk.receive import Kept, Receipt
from ingest.listeners.bounds import Meter
from notifiers.alternate import TwoRelays
from notifiers.registry import open_relay
from notifiers.spec import Relay
from rules.policy import Policy
from store.claims import release_all
from store.clock import believe_clock
from store.engine import Store
from store.errors import StoreCorrupt, StoreError
from store.holding import hold_on_strange_host, load_hold
from store.nodes import beat
from store.retention import retention_round
from store.upkeep import checkpoint_wal, keep_reserve

UPKEEP_EVERY = timedelta(seconds=1)
#: How often SQLite's log is looked at while it stands, and how often it is moved while it grows: a move is a fifth of
#: the time at most, and where nothing was flushed there was nothing to move.
LOG_EVERY, LOG_STEP = timedelta(milliseconds=250), timedelta(milliseconds=100)
_LOG_SHARE, _LOG_STANDS_SECONDS = 4, 0.001
#: How often it is asked whether the day's retention was done.
RETENTION_LOOK = timedelta(hours=1)
GAUGES_EVERY = timedelta(seconds=5)
#: Mail rounds at once, so that one that hangs holds up no other.
HANDS = 3
#: Trouble with the store passes; only from here on do doors turn people away before they have spoken, in seconds.
DOWN_SECONDS = 5.0
#: How long the hand-over sleeps when nobody tells it of new mail.
_LOOK_SECONDS = 1.0

log = get_log("daemon")


class App:
    """Everything that one daemon is, from `start` to `stop`.

    ``manager`` is the service manager, which is told how it goes; ``sockets`` are those that it opened for the doors.
    ``roles`` are the parts that run here; the others run elsewhere.
    """

    def __init__(
        self, config: Config, *, path: Path, policy: Policy, store: Store, manager: Manager | None = None,
        sockets: Given | None = None, roles: Roles = ALL,
    ) -> None:  # fmt: skip
        self.roles = roles
        self.config, self.path, self.store = config, path, store
        self.node = f"{socket.gethostname()}-{secrets.token_hex(3)}"
        self.nodes = Nodes(self.node)
        self.clock = Clock()
        self.metrics = Metrics(source.name for source in config.sources)
        self.meter: Meter = self.metrics
        self.desk = self._make_desk(policy)
        self.committer = Committer(store, on_commit=self._committed, on_failure=self._not_committed)
        self.journeys = Journeys()
        self.pages: Pages = StorePages(store, Acts(store, lambda: self.desk), lambda: self.desk)
        self.doors = Doors(self, sockets or {})
        self.manager = manager or Manager()
        self.watch = Watch(self.manager, alive_at=lambda: self.committer.alive_at, health=self.health)
        self.workers = [
            WorkerProcess(
                number, path, store, on_report=self._hear, on_end=self.metrics.worker_ended,
                on_damage=lambda: self._damaged(StoreCorrupt()),
            )
            for number in range(1, config.workers + 1 if Role.WORK in roles else 1)
        ]
        self.relay = self._open_relay()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._composed = asyncio.Event()
        self._setting_right = asyncio.Lock()
        self._draining = False
        self.damage: StoreCorrupt | None = None
        self.over = asyncio.Event()
        self._ending = threading.Event()
        self._relay_troubles = 0
        self._tasks: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------ from start to stop

    async def start(self) -> None:
        """Be ready: whoever is let in from now on is served."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._begin)
        self.committer.start(self._loop)
        for worker in self.workers:
            worker.start(self.node)
        await self.doors.open()
        hands = HANDS if Role.DELIVER in self.roles else 0
        self._tasks = [
            *(asyncio.create_task(self._repeat(self._hand_over, "outbox")) for _ in range(hands)),
            asyncio.create_task(self._repeat(self._upkeep, "upkeep")),
            *([asyncio.create_task(self._repeat(self._move_log, "log"))] if self.store.kind == "sqlite" else []),
            asyncio.create_task(self._repeat(self._gauges, "gauges")),
            asyncio.create_task(self._repeat(self._beat, "beat")),
            asyncio.create_task(self._repeat(self.watch.look, "watch")),
            *([asyncio.create_task(self._repeat(self._retain, "retention"))] if Role.WORK in self.roles else []),
        ]
        await self.watch.look()  # whoever is told that it is started can see how it is
        self.manager.ready()
        log.info("daemon.ready", node=self.node, pid=os.getpid())

    async def stop(self) -> None:
        """Let nobody in, finish what was begun, keep what was accepted, and go."""
        self._draining = True
        self._ending.set()
        self.manager.stopping()
        self.manager.status("Finishes what it has begun")
        log.info("daemon.draining")
        await self.doors.close()
        await asyncio.to_thread(self.committer.stop)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        self.store.close()
        log.info("daemon.stopped")

    def abandon(self) -> None:
        """Let everything fall: whoever writes to a damaged database makes it worse. Senders come again."""
        for worker in self.workers:
            worker.kill()

    async def reload(self) -> bool:
        """Swap the policy for what its files say now; one that does not check is refused, and the old one stays."""
        desk = self.config.desk
        loaded = await asyncio.to_thread(
            read_policy, self.config.policy, framework=desk.framework, zone=desk.zone
        )
        self.metrics.reloaded(success=loaded.policy is not None)
        if loaded.policy is None:
            for problem in loaded.problems:
                log.error("policy.problem", problem=str(problem))
            log.error("policy.refused", problems=len(loaded.problems), kept=self.desk.policy.version)
            return False
        self.desk = await asyncio.to_thread(self._make_desk, loaded.policy)
        for worker in self.workers:
            worker.reload()
        log.info("policy.loaded", version=loaded.policy.version)
        return True

    def _make_desk(self, policy: Policy) -> Desk:
        config = self.config
        return make_desk(
            self.store, policy, domain=config.desk.domain, addresses=config.addresses, groups=config.groups
        )

    def _open_relay(self) -> Relay:
        relay = self.config.relay
        first, *alternate = (
            open_relay(url, sender=relay.sender.address, domain=self.config.desk.domain)
            for url in (relay.url, relay.alternate)
            if url is not None
        )
        return TwoRelays(first, alternate[0]) if alternate else first

    # ------------------------------------------------------------------ what the doors ask

    async def keep(self, receipt: Receipt) -> Kept:
        """Have a receipt kept; gives the answer after the commit. Raises `NotKept`."""
        kept = await self.committer.keep(receipt)
        self.journeys.kept(receipt, kept)
        return kept

    def health(self) -> Health:
        """Whether work is taken now, and why not."""
        reasons = []
        if self._draining:
            reasons.append("draining")
        down = self.committer.down_since
        if down is not None and time.monotonic() - down > DOWN_SECONDS:
            reasons.append("store_down")
        return Health(tuple(reasons))

    def metrics_text(self) -> bytes:
        """The figures, as Prometheus reads them."""
        self.metrics.ready(ready=self.health().ready)
        return self.metrics.render()

    def page_failed(self, number: str, error: Exception) -> None:
        """A page could not be made; it shows the number."""
        log.error("page.failed", number=number, error=type(error).__name__, exc_info=error)

    # ------------------------------------------------------------------ between the parts

    def _committed(self, rows: int, seconds: float) -> None:
        """A commit was made."""
        self.metrics.committed(rows, seconds)
        for worker in self.workers:
            worker.wake()

    def _not_committed(self, error: Exception) -> None:
        """What doors accepted could not be kept; its senders were told to come back."""
        code = error.code if isinstance(error, StoreError) else "daemon.fault"
        self.metrics.store_error(code)
        log.error("store.error", code=code, what="committer", exc_info=None if isinstance(error, StoreError) else error)

        if isinstance(error, StoreCorrupt):
            self._damaged(error)

    def _damaged(self, error: StoreCorrupt) -> None:
        """The database is damaged: nothing is to be written any more (fault 93)."""
        self.damage = error
        self.over.set()

    def _hear(self, report: dict[str, Any]) -> None:
        self.metrics.apply_report(report)
        if report.get("composed"):
            self._composed.set()

    # ------------------------------------------------------------------ what repeats

    async def _repeat(self, do: Callable[[], Awaitable[float]], what: str) -> None:
        """Do one thing again and again; it says how many seconds to wait. Trouble with the store passes."""
        while True:
            try:
                pause = await do()
            except StoreCorrupt as error:
                self._damaged(error)
                return
            except StoreError as error:
                self.metrics.store_error(error.code)
                log.error("store.error", code=error.code, what=what)
                pause = _LOOK_SECONDS
            except Exception:
                log.exception("daemon.fault", what=what)
                pause = _LOOK_SECONDS
            await asyncio.sleep(pause)

    async def _hand_over(self) -> float:
        """One round of handing over; the wait for composed mail is part of it."""
        self._composed.clear()
        now = await self._now()
        done = await handover_round(self.store, self.relay, owner=f"{self.node}.outbox", now=now)
        self.metrics.handed_over(done)
        self.journeys.told(done.verdicts)
        if done.trouble is not None:
            self._relay_troubles += 1
            log.warning("relay.trouble", trouble=done.trouble, times=self._relay_troubles)
            alternate = self.config.relay.alternate is not None
            return pause_after(self._relay_troubles, alternate=alternate).total_seconds()
        self._relay_troubles = 0
        if not done.busy:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._composed.wait(), _LOOK_SECONDS)
        return 0.0

    async def _now(self) -> datetime:
        """This instant; where the clock was set, what was kept by it is put right before anybody acts by it."""
        async with self._setting_right:
            jump = self.clock.jumped()
            if jump is not None:
                done = await asyncio.to_thread(believe_clock, self.store, self.clock.now(), ahead=jump)
                self.clock.believe(jump)
                self.metrics.count("clock_jump_total")
                log.warning("clock.jumped", seconds=round(jump.total_seconds()), **done)
            return self.clock.now()

    async def _move_log(self) -> float:
        """Move SQLite's log in small steps: all that a second wrote at once would hold up every flush meanwhile."""
        begun = time.monotonic()
        self.metrics.log_pages(await asyncio.to_thread(checkpoint_wal, self.store))
        took = time.monotonic() - begun
        if took < _LOG_STANDS_SECONDS:
            return LOG_EVERY.total_seconds()
        return min(max(LOG_STEP.total_seconds(), _LOG_SHARE * took), UPKEEP_EVERY.total_seconds())

    async def _upkeep(self) -> float:
        if self.committer.down_since is not None:
            await asyncio.to_thread(self.committer.probe)
        await asyncio.to_thread(keep_reserve, self.store)
        return UPKEEP_EVERY.total_seconds()

    async def _retain(self) -> float:
        """Delete what is past its class: once a day, on one of all nodes."""
        now = await self._now()
        done = await asyncio.to_thread(retention_round, self.store, now, wait=self._ending.wait)
        if done:
            log.info("retention.done", **done)
        return RETENTION_LOOK.total_seconds()

    async def _beat(self) -> float:
        """Say that this node is alive, and take over from others on the same database that are not."""
        now = await self._now()
        if not self.clock.settled:
            await asyncio.to_thread(believe_clock, self.store, now)
        owners = await asyncio.to_thread(self.nodes.round, self.store, now)
        if owners:
            log.warning("node.taken_over", owners=owners)
            for worker in self.workers:
                worker.wake()
            self._composed.set()
        return BEAT_EVERY.total_seconds()

    def _begin(self) -> None:
        """Write once before anybody is let in, so that a store that takes nothing is found now. Raises `StoreError`."""
        now = self.clock.now()
        with self.store.writing() as connection:
            if self.store.kind == "sqlite":  # nobody else works on this file, so what is leased was left behind
                release_all(connection, now)
            hold_on_strange_host(connection, self.node, now)
            held = load_hold(connection)
            beat(connection, self.node, now)
        brought_back = believe_clock(self.store, now)
        if brought_back:
            log.warning("clock.was_ahead", **brought_back)
        if held is not None:
            log.warning("outbox.held", since=held.since, reason=str(held.reason))

    async def _gauges(self) -> float:
        disk = await asyncio.to_thread(shutil.disk_usage, self.config.state)
        self.metrics.disk(free=disk.free, total=disk.total)
        await asyncio.to_thread(self.metrics.refresh, self.store, self.clock.now())
        return GAUGES_EVERY.total_seconds()

