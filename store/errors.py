"""What can go wrong with rows: one base, a stable code each, and whether trying again can help.

Errors of the drivers never leave the room: `wrapping` turns them into these at the edge and keeps them as the cause.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class StoreError(Exception):
    """The store did not do what was asked."""

    code = "store.error"
    permanent = True

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])


class StoreBusy(StoreError):
    """The database was locked by somebody else for too long; try again."""

    code = "store.busy"
    permanent = False


class StoreFull(StoreError):
    """The disk under the database is full; make room, work then resumes by itself."""

    code = "store.full"
    permanent = False


class StoreUnavailable(StoreError):
    """The database can't be reached or written now; try again."""

    code = "store.unavailable"
    permanent = False


class SessionLost(StoreUnavailable):
    """The server ended this session, and nothing of its transaction is kept; the next may find it back."""

    code = "store.session_lost"


class OutcomeUnknown(StoreUnavailable):
    """The connection was lost while committing: whether the rows are kept is to be looked up."""

    code = "store.outcome_unknown"


class StoreCorrupt(StoreError):
    """The database file is damaged; stop, keep it as it is, and restore a backup."""

    code = "store.corrupt"


class SchemaMismatch(StoreError):
    """The database was made by another version of triaged."""

    code = "store.schema"

    def __init__(self, *, found: int, known: int) -> None:
        cure = "run `triaged migrate`" if found < known else "install the newer triaged again"
        super().__init__(f"The database has schema {found}, this triaged expects {known}: {cure}.")
        self.found = found
        self.known = known


class Foreign(StoreError):
    """The database belongs to something else; name another one in the setting `store`."""

    code = "store.foreign"


class BadUrl(StoreError):
    """The setting `store` needs sqlite:////absolute/path or postgresql://user@host/name."""

    code = "store.url"


class TookTooLong(StoreError):
    """A look at the store took longer than 30 seconds and was given up; ask for less."""

    code = "store.took_too_long"
    permanent = False


class ReadOnly(StoreError):
    """The database can't be written: its disk is mounted read-only, or the file belongs to another user."""

    code = "store.read_only"


class Missing(StoreError):
    """The database doesn't exist yet or is empty; run `triaged migrate --create`."""

    code = "store.missing"


class Absent(StoreError):
    """A row that must be there is not."""

    code = "store.absent"


class Rejected(StoreError):
    """The database refused a statement or a value; this is a fault of triaged."""

    code = "store.rejected"


class Protected(StoreError):
    """The timeline is only ever added to."""

    code = "store.protected"


class Collision(StoreError):
    """Another writer was first (a unique key, a version, a deadlock): load again and take the turn again."""

    code = "store.collision"
    permanent = False


class LeaseLost(StoreError):
    """The lease went to another owner: drop the turn, the other has it now."""

    code = "store.lease_lost"


_SQLITE = {
    sqlite3.SQLITE_BUSY: StoreBusy,
    sqlite3.SQLITE_LOCKED: StoreBusy,
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_IOERR_SHMSIZE: StoreFull,  # the log's index has no room to grow
    sqlite3.SQLITE_INTERRUPT: TookTooLong,
    sqlite3.SQLITE_CORRUPT: StoreCorrupt,
    sqlite3.SQLITE_NOTADB: StoreCorrupt,
    sqlite3.SQLITE_READONLY: StoreUnavailable,
    sqlite3.SQLITE_CANTOPEN: StoreUnavailable,
    sqlite3.SQLITE_IOERR: StoreUnavailable,
    sqlite3.SQLITE_PERM: StoreUnavailable,
    sqlite3.SQLITE_NOMEM: StoreUnavailable,
    sqlite3.SQLITE_PROTOCOL: StoreUnavailable,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Collision,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Collision,
    sqlite3.SQLITE_CONSTRAINT_ROWID: Collision,
    sqlite3.SQLITE_CONSTRAINT_TRIGGER: Protected,
}

#: By SQLSTATE, or by its class (the first two characters); see the appendix of the PostgreSQL manual.
_POSTGRESQL = {
    "23505": Collision, "40001": Collision, "40P01": Collision,
    "23001": Protected,
    "57P01": SessionLost, "57P02": SessionLost,
    "55P03": StoreBusy, "57014": StoreBusy,
    "53100": StoreFull, "53": StoreUnavailable,
    "25006": StoreUnavailable, "08": StoreUnavailable, "57": StoreUnavailable, "58": StoreUnavailable,
    "28": StoreUnavailable,
    "3D000": Missing,
    "XX001": StoreCorrupt, "XX002": StoreCorrupt,
}


@contextmanager
def wrapping() -> Iterator[None]:
    """Raise what a driver raised inside as an error of this room."""
    try:
        yield
    except Exception as error:
        found = wrap(error)
        if found is None:
            raise
        raise found from error


def wrap(error: BaseException) -> StoreError | None:
    """The error of this room for one of a driver; None where it is not a driver's."""
    if isinstance(error, StoreError):
        return None
    if isinstance(error, PoolTimeout):
        return StoreBusy()
    cause: BaseException | None = error
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return SessionLost()
        cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    if type(cause).__module__.startswith("psycopg"):
        return _of_postgresql(cause)
    return None


def wrap_file(error: OSError) -> StoreError:
    """The error of this room for a file that can't be opened: the database's own, or its lock."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull()
    return StoreUnavailable(f"{error.filename} can't be opened: {error.strerror}.")


def _of_sqlite(error: sqlite3.Error) -> StoreError:
    number = getattr(error, "sqlite_errorcode", 0)
    kind = _SQLITE.get(number) or _SQLITE.get(number & 0xFF) or Rejected
    return kind()


def _of_postgresql(error: object) -> StoreError:
    state = getattr(error, "sqlstate", None)
    if state is None:  # no answer of a server: refused, cut, or no such database, told in words only
        lost = type(error).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError")
        return StoreUnavailable() if lost else Rejected()
    kind = _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2]) or Rejected
    return kind()
