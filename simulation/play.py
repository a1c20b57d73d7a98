"""Plays a story: lets the made-up clock run from event to event and from timer to timer, and checks after each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from daemon.outbox import Handover, pause_after
from kit.instants import from_micros, to_micros
from simulation.agents import act, interrupt
from simulation.checks import Broken, Checks, Sight, hold
from simulation.events import (
    Acted,
    Bounced,
    ClockJumped,
    Event,
    Interrupted,
    Left,
    MailRepeated,
    MailSent,
    Point,
    PolicyChanged,
    Posted,
    RelayFailed,
    Stopped,
    Struck,
)
from simulation.faults import Crash
from simulation.house import Setting, policy_of
from simulation.letters import START
from simulation.senders import Senders
from simulation.world import Played, Sending, World
from store.audit import verify
from store.reconcile import reconcile

#: Checked steps between two looks at all chains; what breaks one leaves it broken.
_FULL_EVERY = 1000
#: How long the desk is watched after the last event: longer than any promise, retry and auto-close.
_AFTERWARDS = 20 * 86_400
_MOST_ROUNDS = 200
#: After so many refusals running the relay is tried every so many seconds only: nothing changes meanwhile.
_PATIENT, _LONG_PAUSE = 4, 1800
#: How far back a clock may be set between two looks at the chain.
_JUMP = timedelta(days=1)
#: The desk looks at its clocks every so many seconds, and not every second as it does in earnest, for what comes due
#: together (a burst, the retries of an outage) is one step then, and a year is lived in a minute.
_GRID = 20


@dataclass(frozen=True)
class Failure:
    """A guarantee that did not hold: at which step and second, and the last steps before it."""

    invariant: str
    what: str
    step: int
    at: int
    last: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """How much a story had, and what it broke."""

    played: Played
    failure: Failure | None


def play(seed: int, events: Sequence[Event], setting: Setting) -> Outcome:
    """Play these events to the end or to the first broken guarantee. The seed says what the product draws by chance."""
    world = World(setting, seed)
    for event in events:
        world.later(event.at, event)
    failure = None
    try:
        Player(world).course()
    except Broken as broken:
        failure = _failure(world, broken.invariant, broken.what, broken.__cause__)
    except Crash as crash:
        failure = _failure(world, "a death stays where it is", str(crash), crash)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a story is a finding
        failure = _failure(world, "no surprise", f"{type(error).__name__}: {error}", error)
    finally:
        world.close()
    return Outcome(world.played, failure)


def _failure(world: World, invariant: str, what: str, error: BaseException | None) -> Failure:
    last = list(world.last)
    trace = None if error is None else error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        last.append(f"  in {code.co_name}, {'/'.join(code.co_filename.split('/')[-2:])}:{trace.tb_lineno}")
        trace = trace.tb_next
    return Failure(invariant, what, world.played.steps, world.real, last)


class Player:
    """One story on its way."""

    def __init__(self, world: World) -> None:
        self._world, self._checks = world, Checks()
        self._senders = Senders(world)
        self._variant = "plain"
        self._paused_until = self._troubles = 0
        self._verified_at = START
        self._deeds: dict[type, Callable[[Any], None]] = {
            Sending: self._senders.bring, MailSent: self._senders.mail, MailRepeated: self._senders.repeat,
            Bounced: self._senders.bounce, Posted: self._senders.post, Left: self._senders.leave,
            Acted: partial(act, world), PolicyChanged: self._policy, RelayFailed: self._relay,
            ClockJumped: self._jump, Stopped: self._stop, Struck: self._strike, Interrupted: self._interrupt,
        }  # fmt: skip

    # ------------------------------------------------------------------ the course of things

    def course(self) -> None:
        """From the beginning to the end. Raises `Broken`, and whatever the product does."""
        world = self._world
        self._check("the desk begins")
        while (at := world.next_at()) is not None:
            self._live_until(at)
            what = world.next()
            world.real = max(world.real, at)
            self._deeds[type(what)](what)
            self._settle()
            self._check(_told(what))
        world.house.relay.trouble = None
        world.house.faults.armed.clear()
        world.house.faults.meanwhile.clear()
        self._live_until(world.real + _AFTERWARDS)
        self._check("all is quiet", full=True)
        self._checks.end(self._sight())

    def _live_until(self, at: int) -> None:
        """Let every timer before ``at`` fire at its instant."""
        while (wake := self._wake()) is not None and wake < at:
            self._world.real = max(self._world.real, wake)
            if self._settle():
                self._check("time passes")

    def _wake(self) -> int | None:
        """The next instant at which the desk has something to do by itself."""
        (instants,) = self._world.watch.rows(
            "SELECT (SELECT min(next_at) FROM targets WHERE next_at IS NOT NULL),"
            " (SELECT min(next_at) FROM outbox WHERE next_at IS NOT NULL AND state = 'waiting'),"
            " (SELECT min(next_at) FROM outbox WHERE next_at IS NOT NULL AND state = 'ready')"
        )
        own = [self._real_of(micros) for micros in instants[:2] if micros is not None]
        if instants[2] is not None:
            own.append(max(self._real_of(instants[2]), self._paused_until))
        return max(-(-min(own) // _GRID) * _GRID, self._world.down_until) if own else None

    def _real_of(self, micros: int) -> int:
        return -((START - from_micros(micros)) // timedelta(seconds=1)) - self._world.ahead

    # ------------------------------------------------------------------ rounds

    def _settle(self) -> bool:
        """Rounds until nothing is due; whether there was anything to do."""
        for done in range(_MOST_ROUNDS):
            if self._world.down or not self._due():
                return done > 0
            self._round()
            if self._due():
                self._world.real += 1
        raise Broken("the desk comes to rest", f"{_MOST_ROUNDS} rounds and something is still due")

    def _due(self) -> bool:
        now, reachable = to_micros(self._world.now), self._world.real >= self._paused_until
        return bool(self._world.watch.value(
            "SELECT EXISTS (SELECT 1 FROM receipts WHERE state = 'waiting' AND lease_owner IS NULL)"
            " OR EXISTS (SELECT 1 FROM receipts WHERE state = 'waiting' AND lease_owner IS NOT NULL)"
            " OR EXISTS (SELECT 1 FROM targets WHERE next_at IS NOT NULL AND next_at <= ?)"
            " OR EXISTS (SELECT 1 FROM outbox WHERE next_at IS NOT NULL AND state = 'waiting' AND next_at <= ?)"
            " OR EXISTS (SELECT 1 FROM outbox WHERE next_at IS NOT NULL AND state = 'ready' AND next_at <= ? AND ?)",
            now, now, now, reachable,
        ))  # fmt: skip

    def _round(self) -> None:
        """One round of the worker, and the daemon's hand-over."""
        world = self._world
        world.played.rounds += 1
        if world.survive(lambda: world.house.worker.round(world.now), whole=False) is not None:
            return
        while world.real >= self._paused_until and self._ready():
            done = list[Handover]()
            world.survive(lambda: done.append(world.house.hand_over(world.now)), whole=True)  # noqa: B023 - done at once
            if not done:
                return
            self._troubles = self._troubles + 1 if done[0].trouble is not None else 0
            if self._troubles:
                pause = int(pause_after(self._troubles).total_seconds()) + 1
                self._paused_until = world.real + (pause if self._troubles < _PATIENT else _LONG_PAUSE)
            if not done[0].busy:
                return

    def _ready(self) -> bool:
        return bool(self._world.watch.value(
            "SELECT 1 FROM outbox WHERE next_at IS NOT NULL AND state = 'ready' AND next_at <= ? LIMIT 1",
            to_micros(self._world.now),
        ))  # fmt: skip

    # ------------------------------------------------------------------ checks

    def _sight(self) -> Sight:
        world = self._world
        return Sight(
            world.watch, world.model, world.house.relay, policy_of(self._variant), world.now, world.strikes
        )

    def _check(self, told: str, *, full: bool = False) -> None:
        world = self._world
        world.played.steps += 1
        world.last.append(f"{world.when} {told}")
        self._senders.read()
        self._checks.look(self._sight())
        if world.logged:
            first = world.logged[0]
            error = first.get("exc_info") or first.get("error")
            cause = error if isinstance(error, BaseException) else None
            raise Broken("no errors in the log", f"{first.get('event')}: {error!r}") from cause
        if full or world.played.steps % _FULL_EVERY == 0:
            self._check_all(None if full else self._verified_at)
            self._verified_at = world.now - _JUMP

    def _check_all(self, since: datetime | None) -> None:
        world = self._world
        with world.house.store.reading(longest=None) as connection:
            broken = verify(connection, since=since).first_broken
            hold(broken is None, "the chain is clean", str(broken))
            differences = reconcile(connection).differences
            hold(not differences, "it reconciles", str(differences[:3]))
        world.played.records = world.watch.number("SELECT count(*) FROM incidents") or 0
        world.played.receipts, world.played.mails = len(world.model.receipts), len(world.house.relay.taken)

    # ------------------------------------------------------------------ circumstances

    def _policy(self, changed: PolicyChanged) -> None:
        self._variant = changed.variant
        while self._world.survive(lambda: self._world.house.read_policy(changed.variant), whole=True) is not None:
            pass

    def _relay(self, failed: RelayFailed) -> None:
        relay = self._world.house.relay
        if failed.until <= failed.at:
            relay.trouble = None
            return
        relay.trouble = failed.trouble
        self._world.later(failed.until, replace(failed, at=failed.until))

    def _jump(self, jumped: ClockJumped) -> None:
        world = self._world
        world.ahead += jumped.seconds
        self._verified_at = min(self._verified_at, world.now - _JUMP)
        ahead = timedelta(seconds=jumped.seconds)
        away = (Point.AWAY, Point.UNKNOWN)  # one that died knows nothing of a jump, and believes the clock as it is
        while world.survive(lambda: world.house.believe_clock(world.now, ahead), whole=True) in away:
            pass

    def _stop(self, stopped: Stopped) -> None:
        world = self._world
        if stopped.until <= world.real:
            world.survive(lambda: world.house.start(world.now), whole=True)
            return
        world.down_until = stopped.until
        world.later(stopped.until, stopped)

    def _interrupt(self, interrupted: Interrupted) -> None:
        world = self._world
        world.house.faults.interrupt(interrupted.write, lambda: interrupt(world, interrupted.acted))

    def _strike(self, struck: Struck) -> None:
        self._world.house.faults.arm(struck.write, struck.point)


def _told(what: Event | Sending) -> str:
    return f"a sender comes again to {what.receipt.source}" if isinstance(what, Sending) else repr(what)
