"""The outbox in two rounds: a worker composes what waits, and the daemon hands over what is ready.

Both are plain functions of the store and ``now``. Bytes are kept before the first hand-over, so whatever crashes
between the relay's yes and our mark, the mail that comes twice is the same mail (faults 77 and 82).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from incidents.effects import PAGES, WAKING, OutboxState, Outgoing
from incidents.story import Story
from kit.backoff import backoff
from kit.tokens import Keyring
from notifiers.compose import compose
from notifiers.mime import ascii_address
from notifiers.spec import Handed, Outcome, Parcel, Relay, RelayUnreachable
from notifiers.voice import Voice
from store.claims import Lease, claim_outbox, extend_leases, load_held
from store.compress import compress
from store.engine import Store
from store.errors import StoreError, StoreFull
from store.holding import load_hold
from store.outbox import (
    Delivery,
    Verdict,
    escalate_at_once,
    keep_deliveries,
    keep_verdicts,
    load_stories,
    outgoing_of,
    overtaken,
)

LEASE = timedelta(seconds=60)
FIRST_PAUSE = timedelta(seconds=30)
MOST_PAUSE = timedelta(hours=1)
#: A page is no good an hour late, so it is tried more often.
MOST_PAUSE_OF_PAGE = timedelta(minutes=2)
#: After so long a page goes by the alternate relay, where there is one (fault 75).
LATE = timedelta(minutes=2)
#: How often a round renews the leases of what is on its way, and how long after it is sure that they are its own: less
#: than the silence after which others take them (`daemon.nodes.SILENCE`), in seconds.
RENEW_SECONDS, SURE_SECONDS = 3.0, 9.0
#: How long a stop waits for the mails that are on their way.
GRACE_SECONDS = 10.0
#: Why a mail is dead that could not be handed over in time.
EXPIRED = "expired"
#: Takes of a row alone after which composing it is given up: it took its worker down each time.
MOST_TAKES = 3


@dataclass(slots=True)
class Composed:
    """What one round of composing did: mails made ready, and those that became none, with the error of each."""

    ready: int = 0
    superseded: int = 0
    dead: dict[int, Exception | None] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = field(default=(), compare=False)  # for the log

    @property
    def busy(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.ready or self.superseded or self.dead)


@dataclass(slots=True)
class Handover:
    """What one round of handing over did, in mails. ``untried`` stay as they were; ``trouble`` is the relay's.

    ``dead_pages`` are pages that reached nobody; ``escalated`` how many escalations go on at once for that. ``held``:
    deliveries are held, and nothing was looked at.
    """

    delivered: int = 0
    delayed: int = 0
    failed: int = 0
    expired: int = 0
    superseded: int = 0
    untried: int = 0
    dead_pages: list[int] = field(default_factory=list)
    escalated: int = 0
    trouble: str | None = None
    held: bool = False
    verdicts: Sequence[Verdict] = field(default=(), compare=False)  # for the log

    @property
    def busy(self) -> bool:
        """Whether another round at once may find more to do."""
        return bool(self.delivered or self.delayed or self.failed or self.expired or self.superseded)


# ---------------------------------------------------------------------- compose


def compose_round(
    store: Store, voice: Voice, keyring: Keyring, *, owner: str, now: datetime, limit: int = 100
) -> Composed:
    """Make mails of what waits and is due, critical ones first; one that can't be made holds up no other."""
    done = Composed()
    with store.writing() as connection:
        rows = claim_outbox(connection, Lease(owner, now, LEASE), state=OutboxState.WAITING, limit=limit)
    if not rows:
        return done
    claimed = [outgoing_of(row) for row in rows]
    with store.reading() as connection:
        stories = load_stories(connection, claimed)
        old = overtaken(connection, claimed)
    verdicts = []
    for one in claimed:
        if one.id in old:
            done.superseded += 1
            verdicts.append(Verdict(one, OutboxState.SUPERSEDED))
        else:
            verdicts.append(_composed(one, stories[one.id], voice, keyring=keyring, now=now, done=done))
    with store.writing() as connection:
        keep_verdicts(connection, owner, verdicts)
        escalate_at_once(connection, [one for one in claimed if one.id in done.dead], now)
    done.verdicts = verdicts
    return done


def _composed(
    one: Outgoing, story: Story, voice: Voice, *, keyring: Keyring, now: datetime, done: Composed
) -> Verdict:
    if one.attempts >= MOST_TAKES:
        done.dead[one.id] = None
        return Verdict(one, OutboxState.DEAD, reason="killed_its_worker")
    try:
        body = compose(one, story, voice, now=now, keyring=keyring)
    except Exception as error:  # noqa: BLE001 - whatever a text does to us, the other mails go out
        done.dead[one.id] = error
        return Verdict(one, OutboxState.DEAD, reason=getattr(error, "code", "not_composed"))
    done.ready += 1
    return Verdict(one, OutboxState.READY, next_at=now, attempts=0, body=compress(body))


# ---------------------------------------------------------------------- hand over


def outcome_of(verdict: Verdict) -> str | None:
    """What came of a mail in a round of handing over, in the words of `Handover`; None where it was not tried."""
    if verdict.state == OutboxState.DEAD:
        return "expired" if verdict.reason == EXPIRED else "failed"
    if verdict.state == OutboxState.READY:
        return "delayed" if verdict.attempts is not None else None
    return str(verdict.state)


async def handover_round(
    store: Store, relay: Relay, *, owner: str, now: datetime, limit: int = 100, lease: timedelta = LEASE
) -> Handover:
    """Hand over what is ready and due, critical ones first. All work on the store is done beside the loop.

    A relay that takes no connection is no attempt: the rows stay as they are, and ``trouble`` asks the caller to
    wait before the next round (`pause_after`), so that all of them go at once when it is back (fault 81).
    Rounds may run side by side, so that a mail that the relay is slow to take holds up one of them only (fault 78).
    Cancelled, a round finishes what is on its way and keeps the results, so that a stop sends nothing twice.
    """
    going = asyncio.create_task(_hand_over(store, relay, Lease(owner, now, lease), limit))
    try:
        return await asyncio.shield(going)
    except asyncio.CancelledError:
        relay.wind_down()
        await asyncio.wait({going}, timeout=GRACE_SECONDS)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        raise


async def _hand_over(store: Store, relay: Relay, leased: Lease, limit: int) -> Handover:
    done, now = Handover(), leased.now
    going, verdicts = await asyncio.to_thread(_due, store, leased, limit, done)
    results: Sequence[Handed | None] = [None] * len(going)
    if going:
        kept = _Kept(store, leased, [one.id for one in going])
        parcels = [
            Parcel(ascii_address(one.recipient), one.body or b"", kept.guard(one.id), late=_is_late(one, now))
            for one in going
        ]
        try:
            async with kept:
                results = await relay.hand_over(parcels)
        except RelayUnreachable as trouble:
            done.trouble = str(trouble)
    verdicts += [_verdict(one, handed, now, done) for one, handed in zip(going, results, strict=True)]
    attempts = [
        Delivery(one.id, handed.outcome, handed.code, handed.text)
        for one, handed in zip(going, results, strict=True)
        if handed is not None
    ]
    if verdicts:
        await asyncio.to_thread(_keep, store, verdicts, attempts, owner=leased.owner, now=now, done=done)
    done.verdicts = verdicts
    return done


def _is_late(one: Outgoing, now: datetime) -> bool:
    return one.kind in WAKING and now - one.created_at >= LATE


def _due(store: Store, lease: Lease, limit: int, done: Handover) -> tuple[list[Outgoing], list[Verdict]]:
    """What is to be handed over, and what is not any more: too late, or overtaken by newer news."""
    with store.writing() as connection:
        done.held = load_hold(connection) is not None
        rows = [] if done.held else claim_outbox(connection, lease, state=OutboxState.READY, limit=limit)
    if not rows:
        return [], []
    claimed = [outgoing_of(row) for row in rows]
    with store.reading() as connection:
        old = overtaken(connection, claimed)
    going: list[Outgoing] = []
    verdicts: list[Verdict] = []
    for one in claimed:
        if one.expires_at <= lease.now:
            done.expired += 1
            verdicts.append(Verdict(one, OutboxState.DEAD, reason=EXPIRED))
        elif one.id in old:
            done.superseded += 1
            verdicts.append(Verdict(one, OutboxState.SUPERSEDED))
        else:
            going.append(one)
    return going, verdicts


class _Kept:
    """Keeps the leases of a round alive, however slow the relay is, and knows which are still its own.

    After a standstill, or without a database, it is sure of none until it has looked.
    """

    def __init__(self, store: Store, lease: Lease, ids: Sequence[int]) -> None:
        self._store, self._lease, self._ids, self._held = store, lease, ids, set(ids)
        self._begun = self._sure_at = time.monotonic()
        self._keeping: asyncio.Task[None] | None = None

    def guard(self, number: int) -> Callable[[], bool]:
        """What says whether a row is still ours to hand over."""
        return lambda: number in self._held and time.monotonic() - self._sure_at < SURE_SECONDS

    async def __aenter__(self) -> None:
        self._keeping = asyncio.create_task(self._keep())

    async def __aexit__(self, *_: object) -> None:
        assert self._keeping is not None
        self._keeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._keeping

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(min(RENEW_SECONDS, self._lease.length.total_seconds() / 3))
            with suppress(StoreError):  # the next one may find the database back
                await asyncio.to_thread(self._renew)

    def _renew(self) -> None:
        asked_at = time.monotonic()
        now = self._lease.now + timedelta(seconds=asked_at - self._begun)
        with self._store.writing() as connection:
            extend_leases(connection, Lease(self._lease.owner, now, self._lease.length))
            held = load_held(connection, self._lease.owner, self._ids)
        self._held, self._sure_at = held, asked_at


def _verdict(one: Outgoing, handed: Handed | None, now: datetime, done: Handover) -> Verdict:
    """What the relay's word means for the row."""
    if handed is None:
        done.untried += 1
        return Verdict(one, OutboxState.READY, next_at=one.next_at)
    attempts = one.attempts + 1
    if handed.outcome is Outcome.DELIVERED:
        done.delivered += 1
        return Verdict(one, OutboxState.DELIVERED, attempts=attempts)
    if handed.outcome is Outcome.FAILED:
        done.failed += 1
        return Verdict(one, OutboxState.DEAD, reason="refused", attempts=attempts)
    done.delayed += 1
    most = MOST_PAUSE_OF_PAGE if one.kind in PAGES else MOST_PAUSE
    pause = backoff(attempts, first=FIRST_PAUSE, most=most, chance=_chance())
    return Verdict(one, OutboxState.READY, next_at=min(now + pause, one.expires_at), attempts=attempts)


def _keep(
    store: Store, verdicts: Sequence[Verdict], attempts: Sequence[Delivery], *, owner: str, now: datetime,
    done: Handover,
) -> None:  # fmt: skip
    dead = [one.outgoing for one in verdicts if one.state == OutboxState.DEAD]
    done.dead_pages = [one.id for one in dead if one.kind in PAGES]

    def mark(connection: Connection) -> None:
        keep_deliveries(connection, attempts, now)
        keep_verdicts(connection, owner, verdicts)
        done.escalated = escalate_at_once(connection, dead, now)

    try:
        with store.writing() as connection:
            mark(connection)
    except StoreFull:  # what went out and is not marked would go out again (fault 92)
        with store.marking() as connection:
            mark(connection)


def pause_after(troubles: int, *, alternate: bool = False) -> timedelta:
    """How long to leave a relay alone that took no connection ``troubles`` times running.

    With an alternate relay it is not left for long, for that one is asked in the same round.
    """
    most = FIRST_PAUSE if alternate else MOST_PAUSE_OF_PAGE
    return backoff(troubles, first=FIRST_PAUSE, most=most, chance=_chance())


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads retries, no secret
