"""Opening the database: one URL, two kinds, and the settings that "accepted means kept" rests on, read back."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from store.errors import BadUrl, Foreign, Missing, ReadOnly, Rejected, StoreUnavailable, wrapping
from store.reserve import reserve_path
from store.schema import APPLICATION_ID, check_schema
from store.write import Writing

Kind = Literal["sqlite", "postgresql"]

#: In this order: the two that durability rests on come first and are read back.
_PRAGMAS = {
    "synchronous": 2,  # FULL: a commit is on the disk before the answer
    "busy_timeout": 5000,  # milliseconds; only for strangers, our writers queue at the file lock
    "wal_autocheckpoint": 10_000,  # pages; maintenance moves the log long before, this is the net
    "mmap_size": 0,  # a read error is an error, not a signal that kills the process
    "cache_size": -16_384,  # KiB a connection; the system caches what does not fit
    "temp_store": 2,  # memory: the service may write nowhere else
    "foreign_keys": 0,  # the desk keeps rows together; checking each would cost what batches save
}
#: The connection used last is used next: its cache is warm, and the others' stay small.
_POOL = {"pool_size": 4, "max_overflow": 4, "pool_timeout": 5, "pool_pre_ping": False, "pool_use_lifo": True}
#: A node that stands still in a transaction keeps its rows from everybody, so not for the half minute in which others
#: are to take over.
#: A turn looks up many keys at once, which the server takes for more work than reading the whole table is, where a
#: page out of order is said to cost four in order; what a turn looks for is in memory.
_SERVER_SETTINGS = (
    "-c synchronous_commit=on -c lock_timeout=5s -c idle_in_transaction_session_timeout=15s"
    " -c random_page_cost=1.1 -c jit=off"
)
#: SQLite's log can't be taken back beyond what the oldest reader sees, so it grows as long as one looks (fault 95).
LONGEST_LOOK = timedelta(seconds=30)
_STEPS_A_QUESTION = 100_000  # of SQLite's machine: some milliseconds


@dataclass(frozen=True, slots=True)
class Store:
    """An open database. Threads may share it; a process opens its own."""

    engine: Engine
    kind: Kind
    path: Path | None = None

    @contextmanager
    def reading(self, *, longest: timedelta | None = LONGEST_LOOK) -> Iterator[Connection]:
        """A short transaction that sees one state of all tables and keeps nothing that is written in it.

        On SQLite a query that is at work ``longest`` after the beginning raises `TookTooLong`; None is for copies and
        proofs, which an operator asks for and which see everything.
        """
        with wrapping(), self.engine.connect() as connection:
            if self.kind == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                yield connection
                return
            driver: Any = connection.connection.driver_connection
            written = driver.total_changes
            connection.exec_driver_sql("BEGIN")
            with _bounded(connection, longest):
                yield connection
            if driver.total_changes != written:  # told to refuse, SQLite would compile every statement anew
                raise Rejected("A transaction that reads has written; nothing of it is kept.")

    def writing(self) -> Writing:
        """A write transaction; see `store.write`."""
        return self._writing(marks=False)

    def marking(self) -> Writing:
        """The same on a full disk, for marks of what was handed over and nothing else; see `store.reserve`."""
        return self._writing(marks=True)

    def _writing(self, *, marks: bool) -> Writing:
        if self.path is None:
            return Writing(self.engine, None)
        return Writing(self.engine, lock_path(self.path), reserve=reserve_path(self.path), marks=marks)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _bounded(connection: Connection, longest: timedelta | None) -> Iterator[None]:
    """Interrupt what runs on an SQLite connection once ``longest`` is over."""
    if longest is None:
        yield
        return
    driver: Any = connection.connection.driver_connection
    ends_at = time.monotonic() + longest.total_seconds()
    driver.set_progress_handler(lambda: time.monotonic() > ends_at, _STEPS_A_QUESTION)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def open_store(url: str) -> Store:
    """Open the database at ``url``.

    Raises `BadUrl`, `Missing`, `Foreign`, `SchemaMismatch`, or a temporary error where it can't be reached.
    """
    store = connect_store(url)
    try:
        with store.reading() as connection:
            check_schema(connection)
    except BaseException:
        store.close()
        raise
    return store


def connect_store(url: str) -> Store:
    """The same without a look at the schema: for migrations."""
    path = sqlite_path(url)
    if path is not None:
        engine = create_engine("sqlite://", creator=lambda: _connect_sqlite(path), poolclass=QueuePool, **_POOL)
        return Store(engine, "sqlite", path)
    return Store(_postgresql_engine(url), "postgresql")


def sqlite_path(url: str) -> Path | None:
    """The file that ``url`` names; None where it names a PostgreSQL database. Raises `BadUrl`."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadUrl from error
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return None
    if parsed.drivername != "sqlite" or not (parsed.database or "").startswith("/"):
        raise BadUrl
    return Path(parsed.database or "")


def lock_path(path: Path) -> Path:
    """Where writers of the database at ``path`` queue."""
    return path.with_name(path.name + ".lock")


def _connect_sqlite(path: Path) -> sqlite3.Connection:
    """A connection that leaves BEGIN to us, with every setting made; a file that is not ours is not touched."""
    if not path.exists() or not path.stat().st_size:
        raise Missing
    if not os.access(path, os.W_OK):
        raise ReadOnly
    address = f"file:{quote(str(path))}?mode=rw"  # never makes a file where one was lost
    connection = sqlite3.connect(
        address, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    try:
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise Foreign from error
        raise
    if owner != APPLICATION_ID:
        raise Foreign
    for name, value in _PRAGMAS.items():
        connection.execute(f"PRAGMA {name}={value}")
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    flushes = connection.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, flushes) != ("wal", _PRAGMAS["synchronous"]):
        raise StoreUnavailable("SQLite refused the settings that keep what is accepted (WAL, synchronous=FULL).")


def _postgresql_engine(url: str) -> Engine:
    address = make_url(url).set(drivername="postgresql+psycopg")
    wanted = {"target_session_attrs": "read-write", "connect_timeout": 5, "options": _SERVER_SETTINGS}
    return create_engine(address, connect_args=wanted, **{**_POOL, "pool_pre_ping": True})
