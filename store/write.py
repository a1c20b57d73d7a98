"""The one way to write.

On SQLite every writer of every process first waits at a file lock, then begins with the database's own lock taken:
the kernel wakes waiters in order, where SQLite polls and lets the busier one starve the other. All computing is done
before; nobody holds the lock for more than 20 ms. On PostgreSQL it is a transaction that insists on a full commit.
"""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from store.errors import (
    Collision,
    OutcomeUnknown,
    Rejected,
    SessionLost,
    StoreError,
    StoreUnavailable,
    wrap,
    wrap_file,
    wrapping,
)
from store.reserve import give_up_reserve, require_reserve

T = TypeVar("T")

_LONGEST_PAUSE_SECONDS = 0.02
#: How long a stranger is waited for in all, and from when on the wait for the lock was such a wait.
_STRANGER_SECONDS, _LONG_SECONDS = 5.0, 1.0
_IN_TRANSACTION = 2  # libpq's PQTRANS_INTRANS: begun, and no statement has failed


class Writing:
    """One write transaction: ``with store.writing() as connection``. Leaving commits, an error rolls back.

    ``held_seconds`` says afterwards how long the lock was held, commit included. ``reserve`` is the room of
    `store.reserve`; with ``marks`` this is what it is for, and it is given up.
    """

    held_seconds: float = 0.0

    def __init__(
        self, engine: Engine, lock: Path | None, *, reserve: Path | None = None, marks: bool = False
    ) -> None:
        self._engine = engine
        self._lock = lock
        self._reserve, self._marks = reserve, marks
        self._fd: int | None = None
        self._began_at = 0.0
        self._changed = False

    def __enter__(self) -> Connection:
        with wrapping():
            self._connection = self._engine.connect()
        try:
            with wrapping():
                self._begin()
        except BaseException:
            self._end()
            raise
        return self._connection

    def _begin(self) -> None:
        if self._lock is None:
            self._began_at = time.monotonic()
            said = self._connection.exec_driver_sql("SELECT set_config('synchronous_commit', 'on', true)").scalar()
            if said != "on":
                raise StoreUnavailable("PostgreSQL doesn't let this role set synchronous_commit to on.")
            return
        asked_at = time.monotonic()
        self._fd = wait_lock(self._lock)
        self._began_at = time.monotonic()
        if self._reserve is not None:
            (give_up_reserve if self._marks else require_reserve)(self._reserve)
        self._connection.begin()
        driver: Any = self._connection.connection.driver_connection
        if self._marks:  # what a checkpoint adds to the database would take the room that was given up
            self._set(wal_autocheckpoint=0)
        waited = self._began_at - asked_at
        if waited > _LONG_SECONDS:  # behind one who waits for a stranger; each in turn would make minutes of it
            self._set(busy_timeout=max(int((_STRANGER_SECONDS - waited) * 1000), 100))
        driver.execute("BEGIN IMMEDIATE")  # not through Core, which takes longer over it than SQLite

    def _set(self, **settings: int) -> None:
        """Have SQLite work by other settings for this transaction."""
        self._changed = True
        driver: Any = self._connection.connection.driver_connection
        for name, value in settings.items():
            driver.execute(f"PRAGMA {name}={value}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._commit()
            else:
                with suppress(DBAPIError):
                    self._connection.rollback()
        finally:
            self._end()
        found = wrap(error) if error is not None else None
        if found is not None:
            raise found from error

    def _commit(self) -> None:
        """Commit, or raise: both databases take a commit after a failure that nobody raised, and keep nothing."""
        try:
            with wrapping():
                if not self._is_whole():
                    raise Rejected("A statement failed in a transaction that went on; nothing of it is kept.")
                self._connection.commit()
        except StoreUnavailable as error:
            raise OutcomeUnknown from error
        except StoreError:
            with suppress(DBAPIError):
                self._connection.rollback()
            raise

    def _is_whole(self) -> bool:
        driver: Any = self._connection.connection.driver_connection
        if self._lock is not None:
            return bool(driver.in_transaction)
        return bool(driver.info.transaction_status == _IN_TRANSACTION)

    def _end(self) -> None:
        self.held_seconds = time.monotonic() - self._began_at if self._began_at else 0.0
        if self._fd is not None:
            os.close(self._fd)
        with suppress(DBAPIError):
            if self._changed:
                self._connection.invalidate()  # the next one has its settings anew
            self._connection.close()


def wait_lock(path: Path) -> int:
    """Wait until this writer is first in line; closing the descriptor that comes back steps aside.

    Every writer opens the file itself, so that threads of one process queue like processes do.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise wrap_file(error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Writable(Protocol):
    """A store, as far as `in_turns` needs one."""

    def writing(self) -> Writing:
        """Begin a write transaction."""


@dataclass(frozen=True, slots=True)
class Saved(Generic[T]):
    """What a save gave, how long it held the lock, and how often another writer was first."""

    value: T
    held_seconds: float
    collisions: int


def in_turns(store: Writable, *, attempts: int, take: Callable[[], Callable[[Connection], T]]) -> Saved[T]:
    """Take a turn, and again from the start where another writer was first or the session was cut (faults 96, 97).

    ``attempts`` times at most. ``take`` loads and decides with no lock held, and gives the function that saves. Raises
    the last `Collision` or `SessionLost`.
    """
    for left in range(attempts - 1, -1, -1):
        try:
            save = take()
            writing = store.writing()
            with writing as connection:
                value = save(connection)
            return Saved(value, writing.held_seconds, attempts - 1 - left)
        except (Collision, SessionLost):
            if not left:
                raise
            time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - keeps two losers apart, no secret
    raise ValueError("attempts must be at least 1")
