"""What keeps a database file in order: for maintenance, and once at start."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from store.engine import Store, lock_path
from store.errors import StoreCorrupt, wrapping
from store.reserve import given_up, make_reserve, reserve_path, stands
from store.write import wait_lock

_AGAIN_SECONDS = 0.001


def checkpoint_wal(store: Store) -> int | None:
    """Move what it can of SQLite's log into the database, never waiting for anybody; the pages still left in it.

    None where it may not, for the database would grow into the room that marks were given.
    """
    if store.path is None:
        return 0
    if given_up(reserve_path(store.path)):
        return None
    with wrapping(), store.engine.connect() as connection:
        _, pages, moved = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
    return int(pages) - int(moved)


def keep_reserve(store: Store) -> None:
    """Have the room stand that a full disk's marks are written in. Raises `StoreFull`."""
    if store.path is None or stands(reserve_path(store.path)):
        return
    lock = wait_lock(lock_path(store.path))
    try:
        make_reserve(reserve_path(store.path))
    finally:
        os.close(lock)


def check_pages(store: Store, *, within: timedelta) -> bool:
    """Look for damaged pages of an SQLite file; False where ``within`` was too short to see them all.

    Raises `StoreCorrupt`. PostgreSQL looks after its own.
    """
    if store.kind != "sqlite":
        return True
    with wrapping(), store.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        with _interrupted(driver, after=within):
            try:
                said = driver.execute("PRAGMA quick_check(1)").fetchone()[0]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                    return False
                raise
    if said != "ok":
        raise StoreCorrupt
    return True


@contextmanager
def _interrupted(driver: sqlite3.Connection, *, after: timedelta) -> Iterator[None]:
    """Interrupt what runs inside once it takes too long; SQLite asks no progress handler while it checks pages."""
    over = threading.Event()

    def watch() -> None:
        pause = after.total_seconds()
        while not over.wait(pause):
            driver.interrupt()
            pause = _AGAIN_SECONDS  # nothing ran yet, or it has not noticed

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
