"""Order in the database file."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from store.bulk import insert_rows
from store.engine import LONGEST_LOOK, Store, open_store
from store.errors import StoreCorrupt, TookTooLong
from store.tables.people import people
from store.upkeep import check_pages, checkpoint_wal

MINUTE = timedelta(minutes=1)


def _fill(store: Store, first: int = 0) -> None:
    rows = [(first + number, None, "x" * 1000, None, None, None) for number in range(5000)]
    with store.writing() as connection:
        insert_rows(connection, people, rows)


def test_a_checkpoint_moves_the_log_into_the_database(store: Store) -> None:
    """Fault 95: nothing is left in the log where nobody reads."""
    _fill(store)
    assert checkpoint_wal(store) == 0


def test_a_checkpoint_leaves_what_a_reader_still_needs(sqlite_url: str) -> None:
    """Fault 95: it never waits; a long reader costs space in the log, nothing else."""
    opened = open_store(sqlite_url)
    with opened.reading() as connection:
        connection.execute(people.select()).all()
        _fill(opened)
        assert (checkpoint_wal(opened) or 0) > 0
    assert checkpoint_wal(opened) == 0
    opened.close()


def test_a_reader_that_takes_too_long_is_given_up(sqlite_url: str) -> None:
    """Fault 95: so that the log can be taken back; the connection serves others as before."""
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with closing(open_store(sqlite_url)) as opened:
        with pytest.raises(TookTooLong), opened.reading(longest=timedelta(seconds=0.1)) as connection:
            connection.exec_driver_sql(endless).all()
        with opened.writing() as connection:
            insert_rows(connection, people, [(1, None, "Ana Example", None, None, None)])
        with opened.reading() as connection:
            assert len(connection.execute(people.select()).all()) == 1
    assert timedelta(seconds=30) == LONGEST_LOOK


def test_a_proof_takes_as_long_as_it_takes(sqlite_url: str) -> None:
    """What an operator asks for and what sees everything is not given up."""
    long = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 300000) SELECT count(*) FROM n"
    with closing(open_store(sqlite_url)) as opened:
        with pytest.raises(TookTooLong), opened.reading(longest=timedelta(0)) as connection:
            connection.exec_driver_sql(long).scalar()
        with opened.reading(longest=None) as connection:
            assert connection.exec_driver_sql(long).scalar() == 300_000


def test_a_sound_database_is_found_sound(store: Store) -> None:
    _fill(store)
    assert check_pages(store, within=MINUTE)


def test_looking_for_damage_ends_in_time(sqlite_url: str) -> None:
    """A daemon with a large database is not kept from its work."""
    opened = open_store(sqlite_url)
    for first in range(0, 50_000, 5000):
        _fill(opened, first)
    assert not check_pages(opened, within=timedelta(0))
    with opened.writing():
        pass
    opened.close()


def test_damage_is_found_and_the_file_left_as_it_is(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 93."""
    opened = open_store(sqlite_url)
    _fill(opened)
    opened.close()
    path = tmp_path / "triaged.db"
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 8192] = b"\xa5" * 8192
    path.write_bytes(body)
    damaged = open_store(sqlite_url)
    with pytest.raises(StoreCorrupt):
        check_pages(damaged, within=MINUTE)
    damaged.close()
    assert path.read_bytes() == body
