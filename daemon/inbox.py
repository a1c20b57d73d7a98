"""The inbox: one round takes a batch of receipts through parsing, deciding and saving.

A round is a plain function of the store and ``now``; the worker repeats it. What can't be worked in 3 takes of its
own goes to quarantine, with a record that people see, and never blocks the receipts behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from daemon.ids import Ids
from daemon.stages import Stages
from desk.alerts import fold_key_name, only_repeats
from desk.arrival import Arrival
from desk.context import Desk
from desk.receive import mail_signal_key
from desk.take import Needs, needs_of, take
from desk.unreadable import key_of_unreadable, open_unreadable
from desk.working import SignalRow, Working
from incidents.effects import OutboxState
from incidents.signal import Alert, Item, Mail
from ingest.parser import ParseFailed
from ingest.registry import load_alert_format
from ingest.spec import Unreadable
from store.claims import (
    Claimed,
    Lease,
    claim_receipts,
    finish_receipts,
    put_back,
    quarantine_receipts,
    record_progress,
    unclaim_receipts,
)  # fmt: skip
from store.engine import Store
from store.errors import LeaseLost, StoreError
from store.loading import load_budgets, load_keys, load_people, load_records
from store.receipts import load_bodies
from store.saving import rows_of, save
from store.write import Saved, in_turns

LEASE = timedelta(seconds=60)
#: Receipts of one turn, and the bytes of their bodies, which stand in memory together.
MOST_RECEIPTS, MOST_BYTES = 500, 64 * 1_048_576
#: Takes of a receipt alone after which it is given up, until a person looks at it.
MOST_ATTEMPTS = 3
#: How often one turn is taken again because another writer was first.
MOST_COLLISIONS = 8
#: Not fewer, for where each flush to the disk is slow, smaller batches only make more of them.
_LEAST_BATCH, _MOST_BATCH = 64, 4096


@dataclass(frozen=True, slots=True)
class _Pace:
    """How a batch adapts: it grows after a save that took less than ``quick`` seconds, halves beyond ``slow``."""

    first: int
    quick: float
    slow: float
    growth: float


#: On SQLite all writers wait for a save. On PostgreSQL hardly anybody does, and a turn costs some seventy round trips
#: however few its items are; but two workers may touch the same records, the more likely the longer their turns are,
#: so these grow slowly.
_PACES = {"sqlite": _Pace(64, 0.010, 0.020, 2), "postgresql": _Pace(128, 0.050, 0.500, 1.0625)}


class MailParser(Protocol):
    """What reads mails in a process of its own, many a call, and survives what they do to it."""

    def parse(self, mails: Sequence[tuple[bytes, Mapping[str, object]]]) -> Sequence[Mail | ParseFailed]:
        """One mail or failure for each, in order."""
        ...


class CannotWork(Exception):
    """A receipt could not be worked; ``permanent`` says that trying again can't help."""

    def __init__(self, why: str, *, permanent: bool) -> None:
        super().__init__(why)
        self.permanent = permanent


_DEADLY = CannotWork(f"it took its worker down {MOST_ATTEMPTS} times", permanent=True)


@dataclass(slots=True)
class Round:
    """What one round did: receipts worked, quarantined and put back, and items by disposition."""

    receipts: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    put_back: int = 0
    dispositions: Counter[str] = field(default_factory=Counter)
    told: int = 0
    errors: list[tuple[int, BaseException]] = field(default_factory=list)
    signals: list[SignalRow] = field(default_factory=list)
    suppressed: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)

    @property
    def busy(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.receipts or self.quarantined or self.put_back)


class Inbox:
    """The rounds of one worker. Its batch adapts to how long a save takes."""

    def __init__(self, store: Store, *, ids: Ids, parser: MailParser, owner: str, stages: Stages) -> None:
        self._store, self._ids, self._parser, self._owner, self._stages = store, ids, parser, owner, stages
        self._pace = _PACES[store.kind]
        self._batch = self._pace.first
        self._stranded: list[int] = []

    def round(self, desk: Desk, now: datetime) -> Round:
        """Take what waits, at most one batch."""
        done = Round()
        with self._stages.timed("claim"), self._store.writing() as connection:
            self._ids.top_up(connection)
            unclaim_receipts(connection, self._owner, self._stranded)
            claimed = claim_receipts(connection, Lease(self._owner, now, LEASE), min(self._batch, MOST_RECEIPTS))
            claimed, beyond = _within(claimed, MOST_BYTES)
            unclaim_receipts(connection, self._owner, [one.id for one in beyond])
        self._stranded = []
        if not claimed:
            return done
        if claimed[0].attempts > MOST_ATTEMPTS:  # a suspect is always alone
            self._set_aside([(claimed[0], _DEADLY)], desk=desk, now=now, done=done)
            return done
        try:
            self._take(claimed, desk=desk, now=now, done=done)
        except LeaseLost:
            pass  # another worker has them now
        except StoreError as error:
            if not error.permanent:
                self._stranded = [one.id for one in claimed]  # the database is away: it is nobody's fault here
                raise
            self._put_back(claimed, error, desk=desk, now=now, done=done)
        except OSError:  # the parser can't be started: it is nobody's fault here either
            self._stranded = [one.id for one in claimed]
            raise
        except Exception as error:  # noqa: BLE001 - whatever a receipt does to us, the others go on
            self._put_back(claimed, error, desk=desk, now=now, done=done)
        return done

    # ------------------------------------------------------------------ read

    def _take(self, claimed: Sequence[Claimed], *, desk: Desk, now: datetime, done: Round) -> None:
        arrivals, failed = self._read(claimed)
        self._set_aside(failed, desk=desk, now=now, done=done)
        worked = {one.id: one.counts for one in claimed}
        for pieces in self._slices(arrivals, worked):
            self._turn(pieces, worked=worked, desk=desk, now=now, done=done)

    def _read(self, claimed: Sequence[Claimed]) -> tuple[list[Arrival], list[tuple[Claimed, CannotWork]]]:
        """The items of each receipt, or why it has none."""
        with self._stages.timed("load"), self._store.reading() as connection:
            bodies = load_bodies(connection, claimed)
        with self._stages.timed("parse"):
            mails = [one for one in claimed if one.format == "mail"]
            parsed = self._parser.parse([(bodies[one.id], one.envelope) for one in mails]) if mails else ()
            by_id: dict[int, Sequence[Item] | CannotWork] = {
                one.id: CannotWork(mail.why, permanent=False) if isinstance(mail, ParseFailed) else (mail,)
                for one, mail in zip(mails, parsed, strict=True)
            }
            for one in claimed:
                if one.id not in by_id:
                    by_id[one.id] = _items(one.format, bodies[one.id])
        arrivals: list[Arrival] = []
        failed: list[tuple[Claimed, CannotWork]] = []
        for one in claimed:
            items = by_id[one.id]
            if isinstance(items, CannotWork):
                failed.append((one, items))
            else:
                key = mail_signal_key(bodies[one.id]) if one.format == "mail" else None
                arrivals.append(Arrival(one.id, one.source, one.received_at, items, one.envelope, key))
        return arrivals, failed

    # ------------------------------------------------------------------ decide and save

    def _slices(
        self, arrivals: Sequence[Arrival], worked: Mapping[int, Mapping[str, int]]
    ) -> Iterator[list[tuple[Arrival, bool]]]:
        """Pieces of at most a batch of items; each with whether it is the last of its receipt."""
        pieces: list[tuple[Arrival, bool]] = []
        room = self._batch
        for arrival in arrivals:
            start = sum(worked[arrival.id].values())  # a turn before this one got so far
            while True:
                items = arrival.items[start : start + room]
                start, room = start + len(items), room - len(items)
                last = start >= len(arrival.items)
                whole = len(items) == len(arrival.items)
                pieces.append((arrival if whole else _part(arrival, items), last))
                if room <= 0:
                    yield pieces
                    pieces, room = [], self._batch
                if last:
                    break
        if pieces:
            yield pieces

    def _turn(
        self, pieces: Sequence[tuple[Arrival, bool]], *, worked: dict[int, Mapping[str, int]], desk: Desk,
        now: datetime, done: Round,
    ) -> None:  # fmt: skip
        """Decide and save some items, again when another writer was first."""
        arrivals = [arrival for arrival, _ in pieces]
        last = {arrival.id for arrival, is_last in pieces if is_last}

        def take_turn() -> Callable[[Connection], Working]:
            working = self._load(arrivals, desk=desk, now=now)
            with self._stages.timed("decide"):
                take(working, arrivals)
            with self._stages.timed("save"):
                rows, counts = rows_of(working), _counts(working, worked)
                over = {number: count for number, count in counts.items() if number in last}

            def keep(connection: Connection) -> Working:
                with self._stages.timed("save"):
                    save(connection, rows)
                    finish_receipts(connection, self._owner, counts=over, now=now)
                    part = {number: count for number, count in counts.items() if number not in last}
                    record_progress(connection, self._owner, counts=part)
                return working

            return keep

        with self._stages.rest("commit"):
            saved = in_turns(self._store, attempts=MOST_COLLISIONS, take=take_turn)
        self._adapt(saved, sum(len(arrival.items) for arrival in arrivals))
        working = saved.value
        worked.update(_counts(working, worked))
        done.receipts += len(last)
        done.told += len(working.outgoing)
        done.signals += working.signals
        done.suppressed.update(
            str(out.reason) for out in working.outgoing.values() if out.state == OutboxState.SUPPRESSED
        )
        done.limits["mime_depth"] += sum(_was_cut(item) for arrival in arrivals for item in arrival.items)
        for counts in working.counts.values():
            done.dispositions.update(counts)

    def _load(self, arrivals: Sequence[Arrival], *, desk: Desk, now: datetime) -> Working:
        working = Working(desk, self._ids, now)
        with self._stages.timed("load"), self._store.reading() as connection:
            needs = needs_of(arrivals, desk)
            load_keys(connection, working, needs)
            records = needs.records | set(working.numbers.values()) | _touched(working, arrivals, desk)
            if records or needs.addresses:
                load_records(connection, working, records)
                load_people(connection, working, needs)
            load_budgets(connection, working)
        return working

    def _adapt(self, saved: Saved[Working], items: int) -> None:
        """A smaller batch after a slow save or a collision, a larger one after a quick save that was full."""
        if saved.held_seconds > self._pace.slow or saved.collisions:
            self._batch = max(self._batch // 2, _LEAST_BATCH)
        elif saved.held_seconds < self._pace.quick and items >= self._batch // 2:
            self._batch = min(int(self._batch * self._pace.growth), _MOST_BATCH)

    # ------------------------------------------------------------------ what can't be worked

    def _put_back(
        self, claimed: Sequence[Claimed], error: Exception, *, desk: Desk, now: datetime, done: Round
    ) -> None:
        """A batch that failed is taken again receipt by receipt; only what fails alone is counted."""
        for one in claimed:
            done.errors.append((one.id, error))
        why = CannotWork(f"{type(error).__name__}: {error}", permanent=False)
        self._set_aside([(one, why) for one in claimed], desk=desk, now=now, done=done)

    def _set_aside(
        self, failed: Sequence[tuple[Claimed, CannotWork]], *, desk: Desk, now: datetime, done: Round
    ) -> None:
        again = [one.id for one, why in failed if not why.permanent and one.attempts < MOST_ATTEMPTS]
        if again:
            with self._store.writing() as connection:
                put_back(connection, self._owner, again, now=now)
            done.put_back += len(again)
        for one, why in failed:
            if one.id not in again:
                self._quarantine(one, why, desk=desk, now=now)
                done.quarantined[one.format] = done.quarantined.get(one.format, 0) + 1

    def _quarantine(self, one: Claimed, why: CannotWork, *, desk: Desk, now: datetime) -> None:
        """Give a receipt up, and open a record so that somebody sees it."""
        mail = one.format == "mail"
        needs = Needs(keys={key_of_unreadable(one.id, one.source, mail=mail)})

        def take_it() -> Callable[[Connection], None]:
            working = Working(desk, self._ids, now)
            with self._store.reading() as connection:
                load_keys(connection, working, needs)
                load_records(connection, working, {key.incident or 0 for key in working.keys.values()})
                load_people(connection, working, needs)
                load_budgets(connection, working)
            open_unreadable(
                working, receipt=one.id, source=one.source, received_at=one.received_at, envelope=one.envelope,
                why=str(why), mail=mail,
            )  # fmt: skip
            rows = rows_of(working)

            def keep(connection: Connection) -> None:
                save(connection, rows)
                quarantine_receipts(connection, self._owner, errors={one.id: str(why)}, now=now)

            return keep

        in_turns(self._store, attempts=MOST_COLLISIONS, take=take_it)


def _was_cut(item: Item) -> bool:
    """Whether a mail was too deep or too large to be read whole (fault 22)."""
    return isinstance(item, Mail) and any(note.startswith("content truncated") for note in item.notes)


def _within(claimed: list[Claimed], most: int) -> tuple[list[Claimed], list[Claimed]]:
    """The first receipts, as many as ``most`` bytes of bodies allow and at least one; and the rest."""
    total = 0
    for place, one in enumerate(claimed):
        total += one.size
        if total > most and place:
            return claimed[:place], claimed[place:]
    return claimed, []


def _counts(working: Working, before: Mapping[int, Mapping[str, int]]) -> dict[int, Mapping[str, int]]:
    """Items by disposition of each receipt, with what earlier turns made of its first ones."""
    return {number: Counter(before[number]) + Counter(counts) for number, counts in working.counts.items()}


def _items(format_name: str, body: bytes) -> Sequence[Item] | CannotWork:
    try:
        return load_alert_format(format_name).parse(body)
    except Unreadable as error:
        return CannotWork(str(error), permanent=True)


def _part(arrival: Arrival, items: Sequence[Item]) -> Arrival:
    return Arrival(arrival.id, arrival.source, arrival.received_at, items, arrival.envelope, arrival.signal_key)


def _touched(working: Working, arrivals: Sequence[Arrival], desk: Desk) -> set[int]:
    """The records of known keys that a signal may do more to than repeat."""
    touched = {key.incident for name, key in working.keys.items() if not name.startswith("alert:")}
    for arrival in arrivals:
        for item in arrival.items:
            if isinstance(item, Alert):
                known = working.key(fold_key_name(desk, arrival.source, item) or "")
                if known is not None and not only_repeats(known, item, arrival):
                    touched.add(known.incident)
    return {record for record in touched if record}
