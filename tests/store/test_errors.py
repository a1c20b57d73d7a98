"""Errors of the drivers leave the room as its own, with the cause kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text

from store import errors
from store.bulk import insert_rows
from store.engine import Store, connect_store, open_store
from store.errors import (
    Collision,
    Rejected,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from store.tables.people import people
from store.tables.receipts import contents

_DRIVERS = (sqlite3.Error, psycopg.Error)


def test_every_error_has_a_code_of_its_own_and_a_sentence() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StoreError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        if kind is not errors.SchemaMismatch:
            assert str(kind()).endswith(".")


def test_a_key_that_is_taken_is_a_collision_by_either_way_of_writing(store: Store) -> None:
    row = (1, None, "Ana Example", None, None, None)
    with store.writing() as connection:
        insert_rows(connection, people, [row])
    with pytest.raises(Collision) as hot, store.writing() as connection:
        insert_rows(connection, people, [row])
    with pytest.raises(Collision) as cold, store.writing() as connection:
        connection.execute(insert(people).values(id=1, name="Ana Example"))
    assert isinstance(hot.value.__cause__, _DRIVERS)
    assert cold.value.__cause__ is not None


def test_a_row_that_lacks_a_value_is_rejected(store: Store) -> None:
    with pytest.raises(Rejected), store.writing() as connection:
        insert_rows(connection, people, [(1, None, None, None, None, None)])


def test_a_wrong_statement_is_rejected(store: Store) -> None:
    with pytest.raises(Rejected), store.reading() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))


def test_what_is_no_fault_of_the_database_passes_unchanged(store: Store) -> None:
    with pytest.raises(KeyError), store.reading():
        raise KeyError


def test_a_stranger_that_holds_the_lock_makes_the_store_busy(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 91."""
    opened = open_store(sqlite_url)
    with opened.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
    stranger = sqlite3.connect(tmp_path / "triaged.db", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy), opened.writing():
        pass
    stranger.close()
    with opened.writing():
        pass
    opened.close()


def test_a_full_disk_is_told_and_work_resumes_when_there_is_room(sqlite_url: str) -> None:
    """Fault 92."""
    opened = open_store(sqlite_url)
    with opened.engine.connect() as connection:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={used}")
    with pytest.raises(StoreFull), opened.writing() as writing:
        insert_rows(writing, contents, [(b"hash", 0, b"x" * 1_000_000)])
    with opened.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    with opened.writing() as writing:
        insert_rows(writing, contents, [(b"hash", 0, b"x" * 1_000_000)])
    opened.close()


def test_a_damaged_file_is_told_as_damaged(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 93."""
    path = tmp_path / "triaged.db"
    opened = open_store(sqlite_url)
    with opened.writing() as connection:
        insert_rows(connection, people, [(number, None, "x" * 1000, None, None, None) for number in range(100)])
    opened.close()
    body = bytearray(path.read_bytes())
    body[4096:] = b"\xa5" * (len(body) - 4096)
    path.write_bytes(body)
    damaged = connect_store(sqlite_url)
    with pytest.raises(StoreCorrupt), damaged.reading() as connection:
        connection.execute(select(people)).all()
    damaged.close()


def _write_after_the_cut(store: Store, connection: Connection) -> None:
    own = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    with store.engine.connect() as other:
        other.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (own,))
    insert_rows(connection, people, [(1, None, "Ana Example", None, None, None)])


def test_a_server_that_ends_our_connection_is_unavailable_and_then_back(postgresql_url: str) -> None:
    """Fault 96."""
    opened = open_store(postgresql_url)
    with pytest.raises(StoreUnavailable), opened.writing() as connection:
        _write_after_the_cut(opened, connection)
    with opened.writing() as connection:
        insert_rows(connection, people, [(1, None, "Ana Example", None, None, None)])
    opened.close()


def test_a_database_that_is_not_there_is_missing_or_unavailable(postgresql_url: str) -> None:
    with pytest.raises(StoreError):
        open_store(postgresql_url.replace("/test_", "/no_"))
