"""Fault 70: whatever is done to the timeline behind the desk's back is found, and the first place is named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from incidents.incident import Incident
from incidents.timeline import FIRST_PREV, Entry, EntryKind, Sealed, Values, seal
from kit.instants import to_micros
from store import audit
from store.audit import Broken, make_checkpoint, verify
from store.bulk import insert_rows
from store.engine import Store
from store.rows import entry_rows, incident_row
from store.tables.incidents import incidents
from store.tables.timeline import checkpoint_heads, checkpoints, timeline, timeline_values, tombstones

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def _record(number: int) -> Incident:
    return Incident(
        number, 1000 + number, "incident", "Disk full", "new", "first_line", NOW, NOW, "prometheus", "P3", "sev3",
        "medium", "medium", 1,
    )  # fmt: skip


def _chain(
    subject: int, length: int, *, after: tuple[int, bytes] = (0, FIRST_PREV), at: datetime = NOW
) -> list[Sealed]:
    seq, prev = after
    chain: list[Sealed] = []
    for place in range(length):
        labels: Values = {"host": "a", "böse": None}
        values: Values = {"title": f"Disk {place} full", "count": place, "open": True, "labels": labels}
        entry = Entry(EntryKind.NOTE, 7, values, at)
        sealed = seal(entry, subject=subject, seq=seq + 1, prev=prev, recorded_at=at, random_bytes=os.urandom)
        chain.append(sealed)
        seq, prev = sealed.seq, sealed.hash
    return chain


def _keep(connection: Connection, chain: Sequence[Sealed]) -> None:
    rows = [entry_rows(entry) for entry in chain]
    insert_rows(connection, timeline, [entry for entry, _ in rows])
    insert_rows(connection, timeline_values, [values for _, values in rows])


def _open(store: Store, lengths: dict[int, int]) -> None:
    """Records with chains of these lengths."""
    with store.writing() as connection:
        for number, length in lengths.items():
            chain = _chain(number, length)
            _keep(connection, chain)
            head = (chain[-1].seq, chain[-1].hash)
            row = incident_row(_record(number), number=1000 + number, version=0, updated_at=NOW, head=head)
            insert_rows(connection, incidents, [row])


def _extend(store: Store, number: int, at: datetime) -> None:
    with store.writing() as connection:
        where = incidents.c.id == number
        head = connection.execute(select(incidents.c.head_seq, incidents.c.head_hash).where(where)).one()
        chain = _chain(number, 1, after=(head.head_seq, bytes(head.head_hash)), at=at)
        _keep(connection, chain)
        connection.execute(update(incidents).where(where).values(head_seq=chain[-1].seq, head_hash=chain[-1].hash))


def _unprotect(connection: Connection) -> None:
    """What an intruder with the database in hand does first."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE timeline DISABLE TRIGGER ALL"))
        return
    names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
    for name in names:
        connection.execute(text(f"DROP TRIGGER {name}"))


def _first_broken(store: Store, **scope: object) -> Broken | None:
    with store.reading() as connection:
        return verify(connection, **scope).first_broken  # type: ignore[arg-type]


def test_what_the_desk_wrote_verifies(store: Store) -> None:
    _open(store, {1: 3, 2: 1, 5: 2})
    make_checkpoint(store, NOW)
    with store.reading() as connection:
        verified = verify(connection)
    assert (verified.entries, verified.erased_fields, verified.checkpoints) == (6, 0, 1)
    assert verified.first_broken is None


def test_an_empty_store_verifies(store: Store) -> None:
    assert make_checkpoint(store, NOW) is None
    with store.reading() as connection:
        assert verify(connection).entries == 0


def test_an_erased_value_leaves_a_chain_that_still_verifies(store: Store) -> None:
    _open(store, {1: 3})
    where = (timeline_values.c.subject == 1, timeline_values.c.seq == 2)
    with store.writing() as connection:
        values = json.loads(connection.execute(select(timeline_values.c["values"]).where(*where)).scalar_one())
        values["title"] = {"erased_at": "2026-11-24T08:00:00.000000Z", "reason": "asked to"}
        connection.execute(update(timeline_values).where(*where).values(values=json.dumps(values)))
    with store.reading() as connection:
        verified = verify(connection)
    assert (verified.entries, verified.erased_fields, verified.first_broken) == (3, 1, None)


@pytest.mark.parametrize("document", [
    '{"title": ["00", "Disk 1 full"]}', "{}", "not json", '{"title": [1.5]}', '{"title": ["00", 1.5]}',
])  # fmt: skip
def test_a_changed_value_is_found(store: Store, document: str) -> None:
    _open(store, {1: 3, 2: 3})
    with store.writing() as connection:
        where = (timeline_values.c.subject == 2, timeline_values.c.seq == 2)
        connection.execute(update(timeline_values).where(*where).values(values=document))
    broken = _first_broken(store)
    assert broken is not None
    assert broken[:2] == (2, 2)


def test_a_value_that_no_leaf_proves_is_found(store: Store) -> None:
    _open(store, {1: 2})
    where = (timeline_values.c.subject == 1, timeline_values.c.seq == 1)
    with store.writing() as connection:
        values = json.loads(connection.execute(select(timeline_values.c["values"]).where(*where)).scalar_one())
        values["praise"] = ["00", "well done"]
        connection.execute(update(timeline_values).where(*where).values(values=json.dumps(values)))
    assert _first_broken(store) == Broken(1, 1, "praise has no leaf")


@pytest.mark.parametrize("change", [
    {"kind": "moved"}, {"author": 8}, {"occurred_at": to_micros(NOW) - 1}, {"recorded_at": to_micros(NOW) + 1},
    {"hash": b"\x01" * 32}, {"leaves": "{}"}, {"leaves": "[]"},
])  # fmt: skip
def test_a_changed_entry_is_found(store: Store, change: dict[str, object]) -> None:
    _open(store, {1: 2, 2: 4})
    with store.writing() as connection:
        _unprotect(connection)
        connection.execute(update(timeline).where(timeline.c.subject == 2, timeline.c.seq == 3).values(change))
    broken = _first_broken(store)
    assert broken is not None
    assert broken[:2] == (2, 3)


def test_an_entry_taken_from_the_middle_is_found(store: Store) -> None:
    _open(store, {1: 4})
    with store.writing() as connection:
        _unprotect(connection)
        connection.execute(delete(timeline).where(timeline.c.seq == 2))
    assert _first_broken(store) == Broken(1, 2, "entry 2 is missing")


def test_a_chain_cut_at_its_end_is_found(store: Store) -> None:
    _open(store, {1: 2, 2: 4})
    with store.writing() as connection:
        _unprotect(connection)
        connection.execute(delete(timeline).where(timeline.c.subject == 2, timeline.c.seq == 4))
    assert _first_broken(store) == Broken(2, 4, "the record's last entry is missing")


def test_a_chain_cut_together_with_its_record_is_found_by_the_checkpoint(store: Store) -> None:
    _open(store, {1: 2, 2: 4})
    number = make_checkpoint(store, NOW)
    with store.writing() as connection:
        _unprotect(connection)
        third = select(timeline.c.hash).where(timeline.c.subject == 2, timeline.c.seq == 3).scalar_subquery()
        connection.execute(update(incidents).where(incidents.c.id == 2).values(head_seq=3, head_hash=third))
        connection.execute(delete(timeline).where(timeline.c.subject == 2, timeline.c.seq == 4))
    assert _first_broken(store) == Broken(2, 4, f"the entry that checkpoint {number} saw is gone")


def _remove_whole(connection: Connection, number: int) -> None:
    _unprotect(connection)
    connection.execute(delete(timeline).where(timeline.c.subject == number))
    connection.execute(delete(timeline_values).where(timeline_values.c.subject == number))
    connection.execute(delete(incidents).where(incidents.c.id == number))


def test_a_record_that_is_gone_whole_is_found(store: Store) -> None:
    _open(store, {1: 2, 2: 4})
    make_checkpoint(store, NOW)
    with store.writing() as connection:
        _remove_whole(connection, 2)
    broken = _first_broken(store)
    assert broken is not None
    assert broken[:2] == (2, 4)


def test_a_chain_that_retention_removed_left_its_tombstone(store: Store) -> None:
    _open(store, {1: 2, 2: 4})
    make_checkpoint(store, NOW)
    with store.writing() as connection:
        head = connection.execute(select(incidents.c.head_hash).where(incidents.c.id == 2)).scalar_one()
        stone = {"subject": 2, "seq": 4, "hash": head, "rule": "standard", "at": to_micros(NOW)}
        connection.execute(insert(tombstones).values(stone))
        _remove_whole(connection, 2)
    assert _first_broken(store) is None


def test_a_chain_whose_record_is_gone_is_found(store: Store) -> None:
    _open(store, {1: 2, 2: 4})
    with store.writing() as connection:
        connection.execute(delete(incidents).where(incidents.c.id == 2))
    assert _first_broken(store) == Broken(2, 1, "the record of this chain is gone")


def test_an_entry_that_its_record_does_not_know_is_found(store: Store) -> None:
    _open(store, {1: 2})
    with store.writing() as connection:
        head = connection.execute(select(incidents.c.head_hash)).scalar_one()
        _keep(connection, _chain(1, 1, after=(2, bytes(head))))
    assert _first_broken(store) == Broken(1, 3, "the record does not know this entry")


def test_a_rewritten_chain_is_found_by_the_checkpoint(store: Store) -> None:
    """Whoever can rewrite a chain with all its hashes can't rewrite what the checkpoint saw."""
    _open(store, {1: 2})
    make_checkpoint(store, NOW)
    with store.writing() as connection:
        _remove_whole(connection, 1)
    _open(store, {1: 2})
    broken = _first_broken(store)
    assert broken is not None
    assert broken[:2] == (1, 2)


def test_a_changed_checkpoint_is_found(store: Store) -> None:
    _open(store, {1: 2})
    make_checkpoint(store, NOW)
    _extend(store, 1, NOW + timedelta(hours=1))
    second = make_checkpoint(store, NOW + timedelta(hours=1))
    with store.writing() as connection:
        connection.execute(delete(checkpoint_heads).where(checkpoint_heads.c.checkpoint == second))
    broken = _first_broken(store)
    assert broken is not None
    assert broken[:2] == (0, second)


def test_a_removed_checkpoint_is_found_by_the_next(store: Store) -> None:
    _open(store, {1: 2})
    first = make_checkpoint(store, NOW)
    _extend(store, 1, NOW + timedelta(hours=1))
    second = make_checkpoint(store, NOW + timedelta(hours=1))
    with store.writing() as connection:
        connection.execute(delete(checkpoint_heads).where(checkpoint_heads.c.checkpoint == first))
        connection.execute(delete(checkpoints).where(checkpoints.c.id == first))
    broken = _first_broken(store)
    assert broken is not None
    assert broken[:2] == (0, second)


def test_a_checkpoint_covers_only_the_heads_that_moved(store: Store) -> None:
    _open(store, {1: 2, 2: 2})
    make_checkpoint(store, NOW)
    assert make_checkpoint(store, NOW + timedelta(minutes=1)) is None
    _extend(store, 2, NOW + timedelta(hours=1))
    second = make_checkpoint(store, NOW + timedelta(hours=1))
    with store.reading() as connection:
        rows = connection.execute(select(checkpoint_heads).where(checkpoint_heads.c.checkpoint == second)).all()
    assert [(row.subject, row.seq) for row in rows] == [(2, 3)]
    assert _first_broken(store) is None


def test_an_entry_that_was_committed_after_the_checkpoint_it_is_older_than_is_covered_by_the_next(store: Store) -> None:
    _open(store, {1: 2})
    make_checkpoint(store, NOW + timedelta(minutes=5))
    _extend(store, 1, NOW + timedelta(minutes=4))
    assert make_checkpoint(store, NOW + timedelta(hours=1)) is not None


def test_one_record_is_verified_alone(store: Store) -> None:
    _open(store, {1: 3, 2: 4})
    with store.writing() as connection:
        _unprotect(connection)
        connection.execute(update(timeline).where(timeline.c.subject == 2, timeline.c.seq == 3).values(kind="moved"))
    with store.reading() as connection:
        verified = verify(connection, 1)
        broken = verify(connection, 2).first_broken
    assert (verified.entries, verified.first_broken) == (3, None)
    assert broken is not None
    assert broken[:2] == (2, 3)


def test_only_what_was_recorded_since_is_verified(store: Store) -> None:
    _open(store, {1: 3, 2: 4})
    _extend(store, 1, NOW + timedelta(days=1))
    with store.writing() as connection:
        _unprotect(connection)
        connection.execute(update(timeline).where(timeline.c.subject == 2, timeline.c.seq == 3).values(kind="moved"))
    with store.reading() as connection:
        verified = verify(connection, since=NOW + timedelta(hours=1))
    assert (verified.entries, verified.first_broken) == (1, None)
    with store.writing() as connection:
        connection.execute(update(timeline).where(timeline.c.subject == 1, timeline.c.seq == 4).values(kind="moved"))
    broken = _first_broken(store, since=NOW + timedelta(hours=1))
    assert broken is not None
    assert broken[:2] == (1, 4)


def test_a_hundred_thousand_entries_take_five_seconds_at_most(store: Store) -> None:
    """Measured on ten thousand: half a second of processor time."""
    _open(store, dict.fromkeys(range(1, 1001), 10))
    begun = time.process_time()
    with store.reading() as connection:
        verified = verify(connection)
    assert verified.entries == 10_000
    assert verified.first_broken is None
    assert time.process_time() - begun < 0.5


def test_many_heads_make_several_checkpoints_none_of_which_holds_the_lock_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read and hashed before the lock; one chain covers them all."""
    monkeypatch.setattr(audit, "MOST_HEADS", 2)
    _open(store, dict.fromkeys(range(1, 6), 1))
    make_checkpoint(store, NOW)
    with store.reading() as connection:
        verified = verify(connection)
        heads = connection.execute(select(checkpoint_heads.c.subject)).scalars().all()
    assert (verified.checkpoints, verified.first_broken) == (3, None)
    assert sorted(heads) == [1, 2, 3, 4, 5]
