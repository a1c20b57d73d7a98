"""The whole store moves to the other kind: every row, the chain, and the counters."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import func, select

from store.audit import verify
from store.bulk import insert_rows
from store.copying import NotEmpty, copy_store
from store.counters import reserve
from store.engine import Store, open_store
from store.holding import load_hold
from store.keys import load_instance, load_keyring
from store.reconcile import reconcile
from store.tables import METADATA
from store.tables.instance import counters
from store.tables.receipts import contents


def _rows(store: Store) -> dict[str, set[Any]]:
    with store.reading() as connection:
        return {
            table.name: {tuple(row) for row in connection.execute(select(table))}
            for table in METADATA.sorted_tables
            if table is not counters
        }


def _quiet(done: int, total: int) -> None:
    del done, total


def test_the_same_desk_goes_on_in_the_other_place(lived: Any, target_url: str) -> None:
    """Row by row alike, so the chain holds and every repeat, token and timer is known there."""
    copied = copy_store(lived.store, target_url, _quiet)
    with closing(open_store(target_url)) as moved:
        assert _rows(moved) == _rows(lived.store)
        assert copied.rows == sum(map(len, _rows(moved).values()))
        with moved.reading() as connection, lived.store.reading() as original:
            assert verify(connection) == verify(original)
            assert verify(connection).first_broken is None
            assert reconcile(connection).differences == reconcile(original).differences == []
            assert load_instance(connection) == load_instance(original)
            assert load_keyring(connection) == load_keyring(original)
            assert load_hold(connection) is None
        there = type(lived)(moved, lived.desk, lived.now)
        there.work()
        there.wait(hours=3)
        assert there.fire().errors == []
        with moved.reading() as connection:
            assert verify(connection).first_broken is None
            assert reconcile(connection).differences == []


@pytest.mark.parametrize("used", [0, 1, 40])
def test_numbers_go_on_where_they_stood(store: Store, target_url: str, used: int) -> None:
    """Also those of a counter that gave out nothing yet: INC-1001 is the first."""
    with store.writing() as connection:
        for name in ("record", "number"):
            if used:
                reserve(connection, name, used)
    copy_store(store, target_url, _quiet)
    with closing(open_store(target_url)) as moved, moved.writing() as connection:
        assert list(reserve(connection, "record", 1)) == [used + 1]
        assert list(reserve(connection, "number", 2)) == [1001 + used, 1002 + used]
        assert list(reserve(connection, "receipt", 1)) == [1]


def test_a_store_with_anything_in_it_is_not_filled(lived: Any, target_url: str) -> None:
    copy_store(lived.store, target_url, _quiet)
    with pytest.raises(NotEmpty):
        copy_store(lived.store, target_url, _quiet)


def test_it_is_told_how_far_it_is(store: Store, target_url: str) -> None:
    with store.writing() as connection:
        insert_rows(connection, contents, [(bytes([number]) * 32, 0, b"x") for number in range(100)])
    told: list[tuple[int, int]] = []
    copy_store(store, target_url, lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] >= 100
    assert len(told) > 7


def test_large_bodies_come_over_in_little_memory_and_in_time(sqlite_url: str, postgresql_url: str) -> None:
    """Parts of 1 MiB and many narrow rows alike."""
    with closing(open_store(postgresql_url)) as store:
        with store.writing() as connection:
            insert_rows(connection, contents, [
                (number.to_bytes(32, "big"), 0, b"x" * (1_000_000 if number < 40 else 100)) for number in range(20_000)
            ])  # fmt: skip
        # the template's own rows stand in a fresh file, too, and make room
        began = time.monotonic()
        copy_store(store, sqlite_url, _quiet)
        assert time.monotonic() - began < 20
        with closing(open_store(sqlite_url)) as moved, moved.reading() as connection:
            assert connection.execute(select(func.count()).select_from(contents)).scalar() == 20_000
