"""A worker process: it takes turns, fires timers and composes mail, one round after another.

The daemon starts it, wakes it by a byte on its standard input, and reads its reports, one JSON line each, from its
standard output. When the input ends, the daemon is gone: the worker finishes its round and goes too.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from daemon.clock import utc_now
from daemon.config import Config, load_config
from daemon.desks import make_desk, voice_of
from daemon.ids import Ids
from daemon.inbox import Inbox, Round
from daemon.journeys import Journeys
from daemon.logs import get_log, set_up_logs
from daemon.outbox import compose_round
from daemon.policy import read_policy
from daemon.stages import Stages
from daemon.timers import timers_round
from desk.context import Desk
from incidents.effects import OutboxState
from ingest.parser import MailParser
from store.audit import make_checkpoint
from store.claims import load_waiting
from store.engine import Store, open_store
from store.errors import StoreCorrupt, StoreError

#: How often timers are looked at, and waiting mail that nobody told of.
LOOK_EVERY = timedelta(seconds=1)
CHECKPOINT_EVERY = timedelta(hours=1)
#: Mails composed in one round: what the turn before it put in, and so many where others wait.
COMPOSED_AT_ONCE = 100
#: How long a worker sleeps when nothing wakes it, in seconds.
_IDLE_SECONDS = 0.5
_AWAY_SECONDS = 1.0
_BEAT_SECONDS = 1.0

log = get_log("worker")


@dataclass(slots=True)
class Due:
    """What is looked at by the clock and not by the arrival of something."""

    every: timedelta
    next_at: datetime | None = None

    def due(self, now: datetime) -> bool:
        """Whether it is time; the first look is at once."""
        if self.next_at is not None and now < self.next_at <= now + self.every:
            return False
        self.next_at = now + self.every
        return True

    def again(self) -> None:
        """There was something, so there may be more: the next look is at once."""
        self.next_at = None


@dataclass(slots=True)
class Report:
    """What one round did, for the daemon's metrics."""

    receipts: int = 0
    dispositions: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    timers: int = 0
    late_seconds: float = 0.0
    composed: int = 0
    not_composed: dict[str, int] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    parser_restarts: int = 0


class Worker:
    """The rounds of one process, driven by `run` or by a test."""

    def __init__(
        self, store: Store, *, desk: Callable[[], Desk], config: Config, owner: str, parser: MailParser
    ) -> None:
        self._store, self._desk, self._owner, self._parser = store, desk, owner, parser
        self._voice = voice_of(config, desk())
        self._stages = Stages()
        self._ids = Ids(store)
        self._inbox = Inbox(store, ids=self._ids, parser=parser, owner=owner, stages=self._stages)
        self._timers, self._compose, self._checkpoint = Due(LOOK_EVERY), Due(LOOK_EVERY), Due(CHECKPOINT_EVERY)
        self._restarts = 0
        self._journeys = Journeys()

    def round(self, now: datetime) -> Report | None:
        """One round of everything that is due; None when there was nothing to do."""
        desk, report = self._desk(), Report()
        with self._stages.timed("claim"), self._store.reading() as connection:  # no lock where nothing waits
            waiting = load_waiting(connection, now)
        worked = self._inbox.round(desk, now) if waiting.receipts else Round()
        self._note(worked, report)
        if (waiting.targets or worked.busy) and self._timers.due(now):
            with self._stages.timed("timers"):
                fired = timers_round(self._store, desk, ids=self._ids, owner=self._owner, now=now)
            report.timers, report.late_seconds = len(fired.names), fired.late_seconds
            if fired.names:
                self._timers.again()
            for target, error in fired.errors:
                log.error("timer.failed", target=target.name, incident=target.subject, exc_info=error)
        if worked.told or report.timers or (waiting.outbox and self._compose.due(now)):
            with self._stages.timed("compose"):
                self._compose_due(desk, report, now, told=worked.told)
        if self._checkpoint.due(now):
            make_checkpoint(self._store, now)
        report.parser_restarts = self._parser.restarts - self._restarts
        self._restarts = self._parser.restarts
        if not (worked.busy or report.timers or report.composed or report.not_composed or report.parser_restarts):
            return None
        report.stages = self._stages.drain()
        return report

    def _compose_due(self, desk: Desk, report: Report, now: datetime, *, told: int) -> None:
        limit = max(COMPOSED_AT_ONCE, told)  # else long turns would leave ever more mails to be made
        made = compose_round(self._store, self._voice, desk.keyring, owner=self._owner, now=now, limit=limit)
        report.composed = made.ready
        if made.busy:
            self._compose.again()
        report.not_composed = dict(Counter(one.outgoing.kind for one in made.verdicts if one.state == OutboxState.DEAD))
        self._journeys.told(made.verdicts)
        for row, error in made.dead.items():
            log.error("outbox.not_composed", outbox=row, error=type(error).__name__, exc_info=error)

    def _note(self, worked: Round, report: Report) -> None:
        report.receipts, report.quarantined = worked.receipts, worked.quarantined
        report.dispositions = dict(worked.dispositions)
        report.suppressed, report.limits = dict(worked.suppressed), dict(+worked.limits)
        self._journeys.worked(worked.signals)
        for receipt, error in worked.errors[:20]:
            log.error("turn.failed", receipt=receipt, error=type(error).__name__, exc_info=error)


class Daemon:
    """The other end: wakes by standard input, reports by standard output."""

    def __init__(self) -> None:
        self.reload = False
        self._beaten_at = 0.0

    def wait(self, seconds: float) -> bool:
        """Sleep until woken, at most ``seconds``, and show that this lives; False when the daemon is gone."""
        if time.monotonic() - self._beaten_at > _BEAT_SECONDS:
            self._beaten_at = time.monotonic()
            with suppress(BrokenPipeError):  # told below
                os.write(1, b"{}\n")
        ready, _, _ = select.select([0], [], [], seconds)
        if not ready:
            return True
        said = os.read(0, 4096)
        self.reload = self.reload or b"r" in said
        return bool(said)

    @staticmethod
    def tell(report: Report) -> None:
        """One line of JSON."""
        os.write(1, msgspec.json.encode(report) + b"\n")


def run(path: Path, owner: str) -> int:
    """Take rounds until the daemon goes."""
    config, desk = load_config(path).config, None
    if config is None:
        return 78
    store = open_store(config.store)
    gc.set_threshold(500_000, 20, 50)  # a turn makes many small values, and what it leaves behind has no rings
    desk = _Desks(store, config)
    daemon = Daemon()
    with MailParser(trust=config.trust.authserv_id) as parser:
        worker = Worker(store, desk=lambda: desk.now, config=config, owner=owner, parser=parser)
        idle = 0.0
        while daemon.wait(idle):
            if daemon.reload:
                daemon.reload = False
                desk.reload()
            idle = _take_round(worker, daemon)
    store.close()
    return 0


def _take_round(worker: Worker, daemon: Daemon) -> float:
    """One round; how long to sleep after it, in seconds."""
    try:
        report = worker.round(utc_now())
    except StoreCorrupt:
        raise
    except StoreError as error:
        log.error("store.error", code=error.code, error=str(error))
        return _AWAY_SECONDS
    except Exception:
        log.exception("worker.fault")
        return _AWAY_SECONDS
    if report is None:
        return _IDLE_SECONDS
    daemon.tell(report)
    return 0.0 if report.receipts or report.quarantined or report.timers or report.composed else _IDLE_SECONDS


class _Desks:
    """The desk as its policy stands now; a reload that does not check leaves it."""

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self.now = self._make()

    def reload(self) -> None:
        self.now = self._make()

    def _make(self) -> Desk:
        config = self._config
        loaded = read_policy(config.policy, framework=config.desk.framework, zone=config.desk.zone)
        if loaded.policy is None:
            log.error("policy.refused", problems=len(loaded.problems))
            return self.now
        return make_desk(
            self._store, loaded.policy, domain=config.desk.domain, addresses=config.addresses, groups=config.groups
        )


def main(arguments: Any = None) -> int:
    """Entry point of the process: configuration path and owner."""
    path, owner = arguments or sys.argv[1:3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the daemon, which lets us finish
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    set_up_logs()
    try:
        return run(Path(path), owner)
    except StoreCorrupt:
        return os.EX_IOERR  # the daemon stops, too (fault 93)


if __name__ == "__main__":
    sys.exit(main())
