"""Backups: always one SQLite file with every row, whichever kind the store is, so that either kind can be restored.

Of an SQLite store it is a copy of its pages, taken in one snapshot while the daemon writes on; of a PostgreSQL store
it is the same rows, read in one snapshot. It holds the keys that tokens are signed with: keep it as you keep those.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import StaticPool, create_engine

from store.copying import Copied, Tell, copy_rows, copy_store, open_empty
from store.engine import Store, connect_store, sqlite_path
from store.errors import Foreign, SchemaMismatch, StoreCorrupt, StoreError, StoreFull, wrap_file, wrapping
from store.holding import HoldReason, hold_deliveries, leave_to_original
from store.keys import load_instance, rename_instance
from store.schema import APPLICATION_ID, SCHEMA, check_schema, schema_of
from store.upkeep import check_pages

_PAGES_AT_ONCE = 1000
_CHUNK = 1 << 20
_AS_LONG_AS_IT_TAKES = timedelta(days=365)


class Exists(StoreError):
    """The file exists already, and backups overwrite nothing: name another one."""

    code = "store.exists"


class NoFolder(StoreError):
    """The folder of the file is not there: make it first."""

    code = "store.no_folder"


class WrongBackup(StoreError):
    """This is no backup of triaged, a damaged one, or another version's."""

    code = "store.wrong_backup"


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup: its size in bytes, and the SHA-256 of the file in hex."""

    path: Path
    size: int
    sha256: str
    instance: str


def make_backup(store: Store, path: Path, tell: Tell, *, schema: int = SCHEMA) -> Backup:
    """Write every row of ``store``, which has that schema, to a new file at ``path``, while others write on.

    The file appears under its name once it is whole, checked and on the disk. Raises `Exists`, `StoreCorrupt`.
    """
    if path.exists():
        raise Exists(f"{path} exists already, and a backup overwrites nothing: name another file.")
    if not path.parent.is_dir():
        raise NoFolder(f"{path.parent} is no folder: make it first.")
    with _new_file(path) as partial:
        try:
            if store.kind == "sqlite":
                _copy_pages(store, partial, tell)
            else:
                copy_store(store, f"sqlite:///{partial}", tell)
        except StoreFull as error:
            raise StoreFull(f"There is no room for {path}; nothing was written, and the store is well.") from error
        name = _settle(partial, schema)
        digest = _flush(partial)
    return Backup(path, path.stat().st_size, digest, name)


def back_up_older(url: str) -> Backup | None:
    """A backup of an SQLite database with an older schema, beside it, before that is changed; None for any other.

    The version that the database is of restores it. One of the same schema was left by a migration that was killed.
    """
    path = sqlite_path(url)
    if path is None or not path.exists() or not path.stat().st_size:
        return None
    with closing(connect_store(url)) as store:
        with store.reading() as connection:
            found = schema_of(connection)
        if found is None or found >= SCHEMA:
            return None
        kept = path.with_name(f"{path.name}.schema-{found}")
        kept.unlink(missing_ok=True)
        return make_backup(store, kept, lambda *_: None, schema=found)


def restore_backup(path: Path, url: str, *, as_copy: bool, now: datetime, tell: Tell) -> Copied:
    """Fill the empty database at ``url`` from a backup, and hold its deliveries.

    The desk is the same one, with its keys; ``as_copy`` gives it a new id and a new key, so that tokens of the
    original are refused, and leaves what is still to be told to the original. Raises `WrongBackup` or `NotEmpty`.
    """
    with (
        closing(open_backup(path)) as source, closing(open_empty(url)) as target,
        source.reading(longest=None) as rows, target.writing() as connection,
    ):  # fmt: skip
        copied = copy_rows(rows, connection, tell)
        if as_copy:
            rename_instance(connection, now)
            leave_to_original(connection)
        hold_deliveries(connection, HoldReason.RESTORED, now)
        return copied


# ---------------------------------------------------------------------- the file


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file beside ``path``, which takes that name if all goes well and nobody has taken it; else it is gone."""
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        os.close(fd)
    except OSError as error:
        raise wrap_file(error) from error
    partial = Path(name)
    try:
        yield partial
        _take_name(partial, path)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm", ".lock"):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)


def _take_name(partial: Path, path: Path) -> None:
    """Rename for good, without a moment in which another file of that name could be overwritten."""
    try:
        os.link(partial, path)
    except FileExistsError as error:
        raise Exists(f"{path} exists by now, and a backup overwrites nothing: name another file.") from error
    except OSError:  # a file system without hard links, as on a stick
        partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy_pages(store: Store, partial: Path, tell: Tell) -> None:
    """The pages of an SQLite database as one reading transaction sees them; writers go on meanwhile."""
    with store.reading() as connection, closing(sqlite3.connect(partial, isolation_level=None)) as target, wrapping():
        load_instance(connection)  # from here on this connection sees one state
        source: Any = connection.connection.driver_connection
        source.backup(
            target, pages=_PAGES_AT_ONCE, progress=lambda _, left, total: tell(total - left, total), sleep=0
        )


def _settle(partial: Path, schema: int) -> str:
    """Leave one file without a log beside it, and look at every page; the id of the desk."""
    with closing(sqlite3.connect(partial)) as driver, wrapping():
        driver.execute("PRAGMA journal_mode=DELETE")
    try:
        opened = open_backup(partial, schema=schema)
    except WrongBackup as error:
        raise StoreCorrupt from error
    with closing(opened), opened.reading() as connection:
        return load_instance(connection).id


def _flush(partial: Path) -> str:
    """The SHA-256 of the file, once it is on the disk."""
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def open_backup(path: Path, *, schema: int = SCHEMA) -> Store:
    """A backup, to read from; the file is not changed in any way. Raises `WrongBackup`."""
    if not path.is_file():
        raise WrongBackup(f"There is no file {path}: name one that `triaged backup` wrote.")
    address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    engine = create_engine(
        "sqlite://", poolclass=StaticPool,
        creator=lambda: sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False),
    )  # fmt: skip
    store = Store(engine, "sqlite", path)
    try:
        _check(store, schema)
    except StoreError as error:
        store.close()
        if isinstance(error, SchemaMismatch):
            raise WrongBackup(
                f"{path} has schema {error.found}, this triaged {error.known}: the version that made it restores it."
            ) from error
        raise WrongBackup(
            f"{path} is no whole backup of triaged: it can't be read, is damaged, or something else is in it; try an "
            "older one."
        ) from error
    return store


def _check(store: Store, schema: int) -> None:
    """Look whose it is, and at every page."""
    with store.reading() as connection:
        if connection.exec_driver_sql("PRAGMA application_id").scalar() != APPLICATION_ID:
            raise Foreign
        check_schema(connection, schema)
    check_pages(store, within=_AS_LONG_AS_IT_TAKES)
