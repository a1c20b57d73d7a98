"""The one way to write, and the reading beside it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError

from store.engine import Store, lock_path, open_store
from store.errors import Collision, OutcomeUnknown, Rejected, SessionLost, StoreBusy, StoreError, StoreUnavailable
from store.tables.people import people
from store.write import in_turns, wait_lock


def _add(connection: Connection, *numbers: int) -> None:
    for number in numbers:
        connection.execute(insert(people).values(id=number, name="Ana Example"))


def _add_and_fail(connection: Connection) -> None:
    _add(connection, 2)
    raise ZeroDivisionError


def _add_and_ignore(connection: Connection, failing: str) -> None:
    _add(connection, 1)
    with suppress(DBAPIError):
        connection.exec_driver_sql(failing)


def _add_and_cut(store: Store, connection: Connection) -> None:
    _add(connection, 1)
    own = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
    with store.engine.connect() as other:
        other.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (own,))


def _ids(store: Store) -> list[int]:
    with store.reading() as connection:
        return list(connection.execute(select(people.c.id).order_by(people.c.id)).scalars())


def test_a_commit_is_flushed_before_it_is_a_commit(sqlite_url: str, postgresql_url: str) -> None:
    """G1: synchronous is FULL on every connection of SQLite, synchronous_commit on in every PostgreSQL write."""
    for url, setting, wanted in (
        (sqlite_url, "PRAGMA synchronous", 2),
        (sqlite_url, "PRAGMA journal_mode", "wal"),
        (postgresql_url, "SHOW synchronous_commit", "on"),
    ):
        opened = open_store(url)
        with opened.writing() as first, opened.reading() as second:
            assert [c.exec_driver_sql(setting).scalar() for c in (first, second)] == [wanted, wanted]
        opened.close()


def test_a_postgresql_write_insists_on_the_full_commit_whatever_the_session_says(postgresql_url: str) -> None:
    opened = open_store(postgresql_url)
    with opened.engine.connect() as connection:
        connection.exec_driver_sql("SET synchronous_commit = off")
        connection.commit()
    with opened.writing() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    opened.close()


def test_leaving_commits_and_an_error_rolls_back(store: Store) -> None:
    with store.writing() as connection:
        _add(connection, 1)
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        _add_and_fail(connection)
    assert _ids(store) == [1]


def test_a_writer_is_free_again_after_an_error(store: Store) -> None:
    for _ in range(20):  # more than the pool has connections
        with pytest.raises(Collision), store.writing() as connection:
            _add(connection, 1, 1)
    with store.writing() as connection:
        _add(connection, 1)


def test_a_failure_that_nobody_raised_is_never_taken_for_kept(postgresql_url: str, sqlite_url: str) -> None:
    """G1: both databases accept the commit of a transaction that they have given up already."""
    opened = open_store(postgresql_url)
    with pytest.raises(Rejected), opened.writing() as connection:
        _add_and_ignore(connection, "SELECT nothing FROM nowhere")
    assert _ids(opened) == []
    opened.close()
    opened = open_store(sqlite_url)
    with pytest.raises(Rejected), opened.writing() as connection:
        _add_and_ignore(connection, "INSERT OR ROLLBACK INTO people (id, name) VALUES (1, 'Ana Example')")
    assert _ids(opened) == []
    opened.close()


def test_reading_sees_one_state_and_keeps_nothing(store: Store) -> None:
    with store.reading() as connection:
        assert connection.execute(select(people.c.id)).all() == []
        with store.writing() as other:
            _add(other, 1)
        assert connection.execute(select(people.c.id)).all() == []
    with pytest.raises(StoreError), store.reading() as connection:
        _add(connection, 2)
    assert _ids(store) == [1]
    assert _ids(store) == [1]


def test_the_time_that_the_lock_was_held_is_told(store: Store) -> None:
    writing = store.writing()
    with writing as connection:
        _add(connection, 1)
    assert 0 < writing.held_seconds < 5


def test_threads_of_one_process_queue(sqlite_url: str) -> None:
    opened = open_store(sqlite_url)
    entered = threading.Event()

    def write() -> None:
        with opened.writing() as connection:
            entered.set()
            _add(connection, 2)

    with opened.writing() as connection:
        thread = threading.Thread(target=write)
        thread.start()
        _add(connection, 1)
        assert not entered.wait(0.1)
    thread.join(10)
    assert _ids(opened) == [1, 2]
    opened.close()


_HOLD = """
import sys
from store.engine import open_store
from store.tables.people import people
store = open_store(sys.argv[1])
with store.writing() as connection:
    print("held", flush=True)
    sys.stdin.readline()
    connection.execute(people.insert().values(id=1, name="Ana Example"))
store.close()
"""


def test_a_second_process_waits_at_the_file_until_the_first_has_committed(sqlite_url: str) -> None:
    """Fault 91."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", _HOLD, sqlite_url]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        opened = open_store(sqlite_url)
        seen: list[int] = []

        def write() -> None:
            with opened.writing() as connection:
                seen.extend(connection.execute(select(people.c.id)).scalars())

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
        holder.stdin.write("\n")
        holder.stdin.flush()
        thread.join(10)
    assert seen == [1]
    opened.close()


def test_the_lock_alone_makes_a_writer_wait(sqlite_url: str, tmp_path: Path) -> None:
    opened = open_store(sqlite_url)
    entered = threading.Event()

    def write() -> None:
        with opened.writing():
            entered.set()

    fd = wait_lock(lock_path(tmp_path / "triaged.db"))
    with open(fd, closefd=True):  # noqa: PTH123 - a descriptor, no path
        thread = threading.Thread(target=write)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join(10)
    opened.close()


def test_a_turn_that_lost_is_taken_again_from_the_start(store: Store) -> None:
    taken = []

    def take() -> Callable[[Connection], int]:
        taken.append(number := len(_ids(store)) + 1)

        def save(connection: Connection) -> int:
            if len(taken) == 1:  # somebody is quicker
                raise Collision
            _add(connection, number)
            return number

        return save

    assert in_turns(store, attempts=3, take=take).value == 1
    assert len(taken) == 2


def test_all_who_wait_for_a_stranger_wait_five_seconds_and_not_one_after_another(sqlite_url: str) -> None:
    """Fault 91: else the doors would answer only when everybody before them had waited, too."""
    refused: list[StoreError] = []

    def write(store: Store) -> None:
        try:
            with store.writing():
                pass
        except StoreError as error:
            refused.append(error)

    path = sqlite_url.removeprefix("sqlite:///")
    with closing(open_store(sqlite_url)) as opened, closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        writers = [threading.Thread(target=write, args=(opened,)) for _ in range(4)]
        begun = time.monotonic()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(30)
        assert [type(one) for one in refused] == [StoreBusy] * 4
        assert 4.5 < time.monotonic() - begun < 12
        stranger.execute("ROLLBACK")
        with opened.writing() as first, opened.reading() as second:
            assert [one.exec_driver_sql("PRAGMA busy_timeout").scalar() for one in (first, second)] == [5000, 5000]


def test_a_session_that_the_server_ends_costs_a_turn_and_nothing_else(postgresql_url: str) -> None:
    """Fault 96: the whole transaction is taken again, three times at most; one that is cut each time is told."""
    with closing(open_store(postgresql_url)) as opened:
        lives = iter(range(1, 100))

        def save(connection: Connection, *, cuts: int) -> int:
            life = next(lives)
            if life <= cuts:
                _add_and_cut(opened, connection)
            _add(connection, life + 100)
            return life

        assert in_turns(opened, attempts=3, take=lambda: partial(save, cuts=2)).value == 3
        assert _ids(opened) == [103]
        with pytest.raises(SessionLost):
            in_turns(opened, attempts=3, take=lambda: partial(save, cuts=99))
        assert _ids(opened) == [103]


def test_a_standby_that_takes_no_writes_is_no_database(postgresql_url: str) -> None:
    """Fault 96: it is tried again until a server is there that does (`target_session_attrs`)."""
    name = postgresql_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    with pytest.raises(StoreUnavailable) as refused:
        open_store(postgresql_url)
    assert not refused.value.permanent


def test_a_deadlock_is_a_collision(postgresql_url: str) -> None:
    """Fault 97: the loser loads again and takes its turn again, and both are kept."""
    with closing(open_store(postgresql_url)) as opened:
        with opened.writing() as connection:
            _add(connection, 1, 2)
        both, first_tries = threading.Barrier(2), {1, 2}

        def change(connection: Connection, first: int) -> None:
            connection.execute(update(people).where(people.c.id == first).values(language=f"{first}"))
            if first in first_tries:
                first_tries.remove(first)
                both.wait(10)
            connection.execute(update(people).where(people.c.id == 3 - first).values(zone=f"{first}"))

        turns = [
            threading.Thread(target=in_turns, args=(opened,), kwargs={
                "attempts": 3, "take": partial(lambda number: lambda connection: change(connection, number), number),
            })
            for number in (1, 2)
        ]  # fmt: skip
        for turn in turns:
            turn.start()
        for turn in turns:
            turn.join(30)
        with opened.reading() as connection:
            rows = connection.execute(select(people.c.language, people.c.zone).order_by(people.c.id)).all()
        assert rows == [("1", "2"), ("2", "1")]


def test_a_turn_that_always_loses_is_given_up(store: Store) -> None:
    taken = []

    def save(connection: Connection) -> None:
        taken.append(1)
        _add(connection, 1, 1)

    with pytest.raises(Collision):
        in_turns(store, attempts=3, take=lambda: save)
    assert len(taken) == 3


def test_a_connection_lost_at_the_commit_leaves_the_outcome_open(postgresql_url: str) -> None:
    """Fault 98: the caller looks the rows up before it answers."""
    opened = open_store(postgresql_url)
    with pytest.raises(OutcomeUnknown), opened.writing() as connection:
        _add_and_cut(opened, connection)
    assert _ids(opened) == []
    opened.close()
