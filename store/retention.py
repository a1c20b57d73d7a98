"""Retention: once a day, delete what is past its class, in many small transactions, and count it.

Nothing that is under hold is touched. A record leaves the tombstone of its chain, its signals and receipts stay as
bare rows, so that the proofs of `store.audit` and `store.reconcile` still hold. What a kill interrupts is done by the
next round.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Delete, Row, Select, Update, and_, delete, exists, or_, select, tuple_, update

from kit.instants import to_micros
from store.bulk import insert_rows
from store.burying import Step, begun, bury, clear
from store.counters import reserve
from store.emptying import Part, Past, drop_parts, find_unneeded, is_past, newest_seen, pieces
from store.engine import Store
from store.nodes import host_of, load_beats
from store.tables.incidents import incidents
from store.tables.instance import nodes, sweeps
from store.tables.outbox import budgets, deliveries
from store.tables.receipts import receipts
from store.tables.signals import fold_keys

EVERY = timedelta(days=1)
#: After a longer silence the clock may stand wrong, so the first round deletes nothing, and the next one all.
_SILENCE = timedelta(days=7)
#: Seconds between two transactions, so that doors and turns have the database most of the time.
_PAUSE_SECONDS = 0.02
#: Rows of one transaction: fewer after one that held the lock for long, more after a short one.
_LEAST_ROWS, _FIRST_ROWS, _MOST_ROWS = 20, 50, 400
_QUICK, _SLOW = 0.008, 0.015  # seconds that a transaction held the lock; none may for more than 0.020
#: Raw bytes count like so many rows.
_BYTES_A_ROW = 20_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept, after it came, was made, or was closed."""

    content: timedelta = timedelta(days=395)  # raw bytes and envelopes of receipts: 13 months
    repeated: timedelta = timedelta(hours=24)  # raw bytes of receipts that only told again what was known
    records: timedelta = timedelta(days=1096)  # incidents, their timeline and all that hangs off them: 3 years
    long_records: timedelta = timedelta(days=2557)  # the same of these classes: 7 years
    long_classes: frozenset[str] = frozenset({"major", "change", "regulatory"})
    attempts: timedelta = timedelta(days=395)  # attempts to hand a notification over
    budgets: timedelta = timedelta(days=7)  # automatic mails by address and slot; only the last day is ever asked for
    nodes: timedelta = timedelta(days=30)  # daemons that were never seen again


DEFAULTS = Retention()


class _Stopped(Exception):
    """The process ends; the next round does the rest."""


def retention_round(
    store: Store, now: datetime, *, wait: Callable[[float], bool], rules: Retention = DEFAULTS
) -> Mapping[str, int] | None:
    """Delete what is past its class, if the last round is a day ago; what was deleted, None when it is not due.

    ``wait`` lets others work for so many seconds; what it gives says whether the round is to end early, as
    ``threading.Event.wait`` does.
    """
    with store.writing() as connection:
        number = _begin(connection, now)
    if number is None:
        return None
    sweep = _Sweep(store, now, rules, number, wait)
    with suppress(_Stopped):
        sweep.bury_records()
        sweep.empty_contents()
        sweep.blank_envelopes()
        sweep.delete_attempts()
        sweep.delete_budgets()
        sweep.forget_nodes()
    return dict(sweep.counts)


def _begin(connection: Connection, now: datetime) -> int | None:
    """The number of a new round, unless one was begun within the day, here or by another node, or long ago."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE sweeps IN EXCLUSIVE MODE")
    last = connection.execute(select(sweeps.c.at).order_by(sweeps.c.id.desc()).limit(1)).scalar()
    if last is not None and to_micros(now - EVERY) < last <= to_micros(now):  # one of the future says nothing
        return None
    (number,) = reserve(connection, "row", 1)
    insert_rows(connection, sweeps, [(number, to_micros(now), "{}")])
    if last is not None and last < to_micros(now - _SILENCE):
        return None
    return number


@dataclass(slots=True)
class _Sweep:
    """One round: its row, and what it deleted so far."""

    store: Store
    now: datetime
    rules: Retention
    number: int
    wait: Callable[[float], bool]
    counts: Counter[str] = field(default_factory=Counter)
    rows: int = _FIRST_ROWS

    def write(self, do: Callable[[Connection], Mapping[str, int]]) -> None:
        """One small transaction; what it deleted is counted in the same commit."""
        writing = self.store.writing()
        with writing as connection:
            counts = self.counts + Counter(do(connection))
            change = update(sweeps).where(sweeps.c.id == self.number)
            connection.execute(change.values(counts=json.dumps(counts)))
        self.counts = counts
        if writing.held_seconds > _SLOW:
            self.rows = max(self.rows // 2, _LEAST_ROWS)
        elif writing.held_seconds < _QUICK:
            self.rows = min(self.rows * 2, _MOST_ROWS)
        if self.wait(_PAUSE_SECONDS):
            raise _Stopped

    # ------------------------------------------------------------------ records

    def bury_records(self) -> None:
        """Records that were closed long enough ago, one by one; first what an earlier round left of some."""
        with self.store.reading() as connection:
            left = begun(connection)
            found = [row.id for row in connection.execute(self._over().order_by(incidents.c.id))]
        for record in left:
            self._in_steps(partial(self._clear, record))
        for record in found:
            self._in_steps(partial(self._bury, record))

    def _in_steps(self, take: Callable[[Connection], Step]) -> None:
        """Take one step a transaction until the last."""
        steps: list[Step] = []

        def do(connection: Connection) -> Mapping[str, int]:
            steps.append(take(connection))
            return steps[-1].counts

        while not steps or not steps[-1].last:
            self.write(do)

    def _bury(self, record: int, connection: Connection) -> Step:
        if connection.execute(select(incidents.c.id).where(incidents.c.id == record)).first() is None:
            return self._clear(record, connection)
        found = connection.execute(self._over().where(incidents.c.id == record).with_for_update()).one_or_none()
        if found is None:  # reopened, held, or heard of since
            return Step(Counter(), last=True)
        return bury(connection, record, rule=f"retention {found.retention_class}", now=self.now, most=self.rows)

    def _clear(self, record: int, connection: Connection) -> Step:
        return clear(connection, record, most=self.rows)

    def _over(self) -> Select[tuple[int, str]]:
        """Records past their class; not those under hold, nor those that senders still speak of."""
        rules, now = self.rules, self.now
        long = incidents.c.retention_class.in_(rules.long_classes)
        closed_before = or_(
            and_(~long, incidents.c.closed_at < to_micros(now - rules.records)),
            and_(long, incidents.c.closed_at < to_micros(now - rules.long_records)),
        )
        heard = exists().where(
            fold_keys.c.incident == incidents.c.id, fold_keys.c.last_seen_at >= to_micros(now - rules.records)
        )
        query = select(incidents.c.id, incidents.c.retention_class)
        return query.where(closed_before, incidents.c.hold_count == 0, ~heard)

    # ------------------------------------------------------------------ receipts

    @property
    def _past(self) -> Past:
        return Past(self.now - self.rules.content, self.now - self.rules.repeated)

    def empty_contents(self) -> None:
        """Raw bytes that no receipt needs any more."""
        with self.store.reading() as connection:
            ranges = list(pieces(connection))
        for piece in ranges:
            with self.store.reading() as connection:
                seen = newest_seen(connection, self.now)
                found = find_unneeded(connection, piece, self._past)
            for batch in self._batches(found):
                self.write(lambda connection, batch=batch, seen=seen: {  # type: ignore[misc] # both are bound
                    "contents": drop_parts(connection, batch, seen=seen)
                })  # fmt: skip

    def _batches(self, parts: Sequence[Part]) -> Iterator[Sequence[Part]]:
        """Parts that one short transaction can delete."""
        start = 0
        while start < len(parts):
            end, weight = start, 0
            while end < len(parts) and (end == start or weight < self.rows):
                weight += 1 + parts[end].size // _BYTES_A_ROW
                end += 1
            yield parts[start:end]
            start = end

    def blank_envelopes(self) -> None:
        """Who sent it, from where: gone with the bytes; a repeated state has nobody's name in it."""
        past = Past(self.now - self.rules.content, self.now - self.rules.content)
        named = select(receipts.c.id).where(is_past(past), receipts.c.envelope != "{}")
        for ids in self._in_batches(named):
            blank = update(receipts).where(receipts.c.id.in_([row.id for row in ids])).values(envelope="{}")
            self._change("envelopes", blank)

    # ------------------------------------------------------------------ what hangs off nothing

    def delete_attempts(self) -> None:
        """Attempts to hand over, whose notifications may live on."""
        old = select(deliveries.c.id).where(deliveries.c.at < to_micros(self.now - self.rules.attempts))
        for ids in self._in_batches(old):
            self._change("deliveries", delete(deliveries).where(deliveries.c.id.in_([row.id for row in ids])))

    def delete_budgets(self) -> None:
        """What was spent in hours that nobody asks for any more."""
        key = (budgets.c.address, budgets.c.kind, budgets.c.hour)
        old = select(*key).where(budgets.c.hour < to_micros(self.now - self.rules.budgets))
        for rows in self._in_batches(old):
            self._change("budgets", delete(budgets).where(tuple_(*key).in_([tuple(row) for row in rows])))

    def forget_nodes(self) -> None:
        """Daemons of long ago; of each host the last one stays, by which it is known."""
        with self.store.reading() as connection:
            beats = load_beats(connection)
        last = {host_of(name): name for name in sorted(beats, key=lambda name: beats[name])}
        old = to_micros(self.now - self.rules.nodes)
        gone = [name for name, at in beats.items() if at < old and last[host_of(name)] != name]
        if gone:
            self._change("nodes", delete(nodes).where(nodes.c.name.in_(gone)))

    def _in_batches(self, query: Select[Any]) -> Iterator[Sequence[Row[Any]]]:
        """What a query finds, looked up before any lock, as many rows at once as a short transaction can change."""
        with self.store.reading() as connection:
            found = connection.execute(query).all()
        start = 0
        while start < len(found):
            rows = self.rows
            yield found[start : start + rows]
            start += rows

    def _change(self, name: str, statement: Update | Delete) -> None:
        self.write(lambda connection: {name: connection.execute(statement).rowcount})

