"""The timeline's proof: every hash worked out again, every head compared, and the checkpoints that find what is gone.

The formulas are those of `incidents.timeline`; what a chain proves is told in docs/architecture.md, Chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, func, or_, select, true

from incidents.timeline import FIRST_PREV, checkpoint_hash, entry_hash, leaf_hash
from kit.instants import from_micros, to_micros
from store.bulk import insert_rows
from store.counters import reserve
from store.engine import Store
from store.tables.incidents import incidents
from store.tables.timeline import checkpoint_heads, checkpoints, timeline, timeline_values, tombstones

#: An entry is dated when its turn begins and seen when it commits: a checkpoint looks back this far for latecomers.
MARGIN = timedelta(minutes=10)
#: Heads of one checkpoint: written while the lock is held.
MOST_HEADS = 2000
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_STREAMED = {"stream_results": True, "yield_per": 2000}


class Broken(NamedTuple):
    """Where a chain does not hold: the record's id, the entry, and what differs. A checkpoint has no record (0)."""

    subject: int
    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, and the first thing that does not hold. ``tombstones``: chains that retention removed."""

    entries: int
    erased_fields: int
    checkpoints: int
    tombstones: int
    first_broken: Broken | None


class Scope(NamedTuple):
    """What to check: one record's chain or all, from the beginning or what was recorded since."""

    subject: int | None = None
    since: datetime | None = None


def verify(connection: Connection, subject: int | None = None, since: datetime | None = None) -> Verified:
    """Check chains, heads and checkpoints; ``subject`` is a record's id."""
    scope = Scope(subject, since)
    entries, erased, broken = _verify_entries(connection, scope)
    counted, checkpoint = _verify_checkpoints(connection, scope)
    found = [one for one in (broken, *_lost(connection, scope), checkpoint) if one is not None]
    found.sort(key=lambda one: (not one.subject, one.subject, one.seq))
    return Verified(entries, erased, counted, _count_tombstones(connection, scope), found[0] if found else None)


# ---------------------------------------------------------------------- entries


def _verify_entries(connection: Connection, scope: Scope) -> tuple[int, int, Broken | None]:
    """How many entries and erased fields there are, and the first entry that does not hold."""
    before = _before(connection, scope)
    entries = erased = subject = seq = 0
    prev, broken = FIRST_PREV, None
    for row in connection.execute(_entries(scope), execution_options=_STREAMED):
        if row.subject != subject:
            subject, (seq, prev) = row.subject, before.get(row.subject, (0, FIRST_PREV))
        entries += 1
        values = _decoded(row.said or "{}")
        erased += sum(type(value) is dict for value in values.values())
        if broken is None:
            what = f"entry {seq + 1} is missing" if row.seq != seq + 1 else _what_differs(row, values, prev)
            broken = None if what is None else Broken(subject, seq + 1, what)
        seq, prev = row.seq, row.hash
    return entries, erased, broken


def _decoded(document: str) -> dict[str, Any]:
    """A JSON object; what somebody made unreadable counts as empty, and so as broken."""
    try:
        return _decode(document)
    except msgspec.MsgspecError:
        return {}


def _what_differs(row: Row[Any], values: Mapping[str, Any], prev: bytes) -> str | None:
    """What is wrong with one entry; None when it holds."""
    leaves = _decoded(row.leaves)
    try:
        return _leaf_that_differs(leaves, values) or _hash_that_differs(row, leaves, prev)
    except (TypeError, ValueError, IndexError):
        return "the entry holds what no entry can hold"


def _leaf_that_differs(leaves: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    for name, leaf in leaves.items():
        said = values.get(name)
        if said is None:
            return f"the value of {name} is gone without a word"
        if type(said) is list and leaf_hash(said[0], name, said[1]) != leaf:
            return f"the value of {name} differs from its leaf"
    if len(values) != len(leaves):
        return f"{', '.join(sorted(values.keys() - leaves.keys()))} has no leaf"
    return None


def _hash_that_differs(row: Row[Any], leaves: Mapping[str, Any], prev: bytes) -> str | None:
    made = entry_hash(
        bytes(prev), row.subject, row.seq, from_micros(row.occurred_at), from_micros(row.recorded_at), row.kind,
        row.author, leaves,
    )  # fmt: skip
    return None if made == row.hash else "the entry differs from its hash, or does not follow the one before"


def _entries(scope: Scope) -> Select[Any]:
    beside = and_(timeline_values.c.subject == timeline.c.subject, timeline_values.c.seq == timeline.c.seq)
    query = select(timeline, timeline_values.c["values"].label("said"))
    query = query.join_from(timeline, timeline_values, beside, isouter=True)
    if scope.since is not None:
        first = _first_since(scope.since).subquery()
        query = query.join(first, and_(first.c.subject == timeline.c.subject, timeline.c.seq >= first.c.seq))
    if scope.subject is not None:
        query = query.where(timeline.c.subject == scope.subject)
    return query.order_by(timeline.c.subject, timeline.c.seq)


def _first_since(since: datetime) -> Select[Any]:
    """The first entry of each chain that was recorded since then."""
    query = select(timeline.c.subject, func.min(timeline.c.seq).label("seq"))
    return query.where(timeline.c.recorded_at >= to_micros(since)).group_by(timeline.c.subject)


def _before(connection: Connection, scope: Scope) -> dict[int, tuple[int, bytes]]:
    """Where each chain stood before what is to be checked."""
    if scope.since is None:
        return {}
    first = _first_since(scope.since).subquery()
    query = select(timeline.c.subject, timeline.c.seq, timeline.c.hash)
    query = query.join(first, and_(first.c.subject == timeline.c.subject, timeline.c.seq == first.c.seq - 1))
    return {row.subject: (row.seq, row.hash) for row in connection.execute(query)}


# ---------------------------------------------------------------------- what is gone


def _lost(connection: Connection, scope: Scope) -> Iterator[Broken | None]:
    """Chains that were cut at their end or removed: the heads of records and checkpoints know better."""
    yield _cut(connection, scope)
    yield _too_long(connection, scope)
    yield _ownerless(connection, scope)
    yield _off_checkpoint(connection, scope)


def _cut(connection: Connection, scope: Scope) -> Broken | None:
    head = and_(timeline.c.subject == incidents.c.id, timeline.c.seq == incidents.c.head_seq)
    query = select(incidents.c.id, incidents.c.head_seq, timeline.c.hash)
    query = query.join_from(incidents, timeline, head, isouter=True)
    lost = or_(timeline.c.hash.is_(None), timeline.c.hash != incidents.c.head_hash)
    query = query.where(lost, incidents.c.head_seq > 0, _within(scope, incidents.c.id))
    row = connection.execute(query.order_by(incidents.c.id).limit(1)).one_or_none()
    if row is None:
        return None
    what = "the record's last entry is missing" if row.hash is None else "the record remembers another last entry"
    return Broken(row.id, row.head_seq, what)


def _too_long(connection: Connection, scope: Scope) -> Broken | None:
    query = select(timeline.c.subject, timeline.c.seq).join(incidents, incidents.c.id == timeline.c.subject)
    query = query.where(timeline.c.seq > incidents.c.head_seq, _within(scope, timeline.c.subject))
    row = connection.execute(query.order_by(timeline.c.subject, timeline.c.seq).limit(1)).one_or_none()
    return None if row is None else Broken(row.subject, row.seq, "the record does not know this entry")


def _ownerless(connection: Connection, scope: Scope) -> Broken | None:
    record = exists().where(incidents.c.id == timeline.c.subject)
    buried = exists().where(tombstones.c.subject == timeline.c.subject)  # in the middle of it
    lost = select(timeline.c.subject).where(timeline.c.seq == 1, ~record, ~buried)
    query = lost.where(_within(scope, timeline.c.subject))
    row = connection.execute(query.order_by(timeline.c.subject).limit(1)).one_or_none()
    return None if row is None else Broken(row.subject, 1, "the record of this chain is gone")


def _off_checkpoint(connection: Connection, scope: Scope) -> Broken | None:
    """A head that a checkpoint saw and that is no more; only retention may remove a chain, and leaves a tombstone."""
    head = and_(timeline.c.subject == checkpoint_heads.c.subject, timeline.c.seq == checkpoint_heads.c.seq)
    same = and_(tombstones.c.seq == checkpoint_heads.c.seq, tombstones.c.hash == checkpoint_heads.c.hash)
    buried = exists().where(
        tombstones.c.subject == checkpoint_heads.c.subject, or_(tombstones.c.seq > checkpoint_heads.c.seq, same)
    )
    query = select(checkpoint_heads, timeline.c.hash.label("present"))
    query = query.join_from(checkpoint_heads, timeline, head, isouter=True)
    gone = and_(timeline.c.hash.is_(None), ~buried)
    query = query.where(
        or_(gone, timeline.c.hash != checkpoint_heads.c.hash), _within(scope, checkpoint_heads.c.subject)
    )
    row = connection.execute(query.order_by(checkpoint_heads.c.subject, checkpoint_heads.c.seq).limit(1)).one_or_none()
    if row is None:
        return None
    what = "is gone" if row.present is None else "is another one"
    return Broken(row.subject, row.seq, f"the entry that checkpoint {row.checkpoint} saw {what}")


def _count_tombstones(connection: Connection, scope: Scope) -> int:
    """Chains that retention removed."""
    query = select(func.count()).select_from(tombstones).where(_within(scope, tombstones.c.subject))
    if scope.since is not None:
        query = query.where(tombstones.c.at >= to_micros(scope.since))
    return connection.execute(query).scalar_one()


def _within(scope: Scope, subject: ColumnElement[int]) -> ColumnElement[bool]:
    return true() if scope.subject is None else subject == scope.subject


# ---------------------------------------------------------------------- checkpoints


def _verify_checkpoints(connection: Connection, scope: Scope) -> tuple[int, Broken | None]:
    """How many checkpoints there are, and the first whose hash differs; each needs the heads of all records."""
    query = select(checkpoints).order_by(checkpoints.c.id)
    previous, count, broken = FIRST_PREV, 0, None
    for row in connection.execute(query).all():
        counts = scope.since is None or row.at >= to_micros(scope.since)
        if counts and broken is None:
            heads = _heads_of(connection, row.id)
            if checkpoint_hash(previous, from_micros(row.at), heads) != row.hash:
                broken = Broken(0, row.id, "the checkpoint differs from its hash, or does not follow the one before")
        count += counts
        previous = bytes(row.hash)
    return count, broken


_HEADS = (
    select(checkpoint_heads)
    .where(checkpoint_heads.c.checkpoint == bindparam("checkpoint"))
    .order_by(checkpoint_heads.c.subject)
)


def _heads_of(connection: Connection, checkpoint: int) -> list[tuple[int, int, bytes]]:
    rows = connection.execute(_HEADS, {"checkpoint": checkpoint})
    return [(row.subject, row.seq, bytes(row.hash)) for row in rows]


def make_checkpoint(store: Store, now: datetime) -> int | None:
    """Hash the heads that moved since the last checkpoint onto it; its id, None when none moved.

    They are read before the lock is taken. Many make several checkpoints, none of which holds it for long.
    """
    with store.reading() as connection:
        last = _last_checkpoint(connection)
        since = None if last is None else from_micros(last.at)
        if since is not None and since > now:
            since = None  # made by a clock that stood ahead: what was recorded after it lies before
        heads = _moved(connection, since)
    number, previous = (None, FIRST_PREV) if last is None else (last.id, bytes(last.hash))
    made = None
    for start in range(0, len(heads), MOST_HEADS):
        some = heads[start : start + MOST_HEADS]
        digest = checkpoint_hash(previous, now, some)
        with store.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE checkpoints IN EXCLUSIVE MODE")  # else the chain may fork
            newest = _last_checkpoint(connection)
            if (None if newest is None else newest.id) != number:
                return made  # somebody else makes them just now; what moved is seen by theirs or by the next
            (number,) = reserve(connection, "row", 1)
            insert_rows(connection, checkpoints, [(number, to_micros(now), digest)])
            insert_rows(connection, checkpoint_heads, [(number, *head) for head in some])
        made, previous = number, digest
    return made


def _last_checkpoint(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(checkpoints).order_by(checkpoints.c.id.desc()).limit(1)).one_or_none()


def _moved(connection: Connection, since: datetime | None) -> list[tuple[int, int, bytes]]:
    """The heads that no checkpoint has seen, in order of their records."""
    given = {} if since is None else {"since": to_micros(since - MARGIN)}
    rows = connection.execute(_unseen_heads(whole=since is None), given)
    return [(row.subject, row.seq, bytes(row.hash)) for row in rows]


@cache
def _unseen_heads(*, whole: bool) -> Select[Any]:
    newest = select(timeline.c.subject, func.max(timeline.c.seq).label("seq")).group_by(timeline.c.subject)
    if not whole:  # found first: else SQLite walks all chains there are
        grown = select(timeline.c.subject).where(timeline.c.recorded_at >= bindparam("since"))
        newest = newest.where(timeline.c.subject.in_(grown))
    head = newest.subquery()
    seen = exists().where(
        checkpoint_heads.c.subject == timeline.c.subject, checkpoint_heads.c.seq == timeline.c.seq,
        checkpoint_heads.c.hash == timeline.c.hash,
    )  # fmt: skip
    query = select(timeline.c.subject, timeline.c.seq, timeline.c.hash)
    query = query.join(head, and_(head.c.subject == timeline.c.subject, head.c.seq == timeline.c.seq)).where(~seen)
    return query.order_by(timeline.c.subject)
