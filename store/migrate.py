"""Schema to head, in one transaction: killed half-way it never happened, and the next run does it whole.

Run by ``triaged migrate``, which the daemon starts as a child process: only here is Alembic loaded.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, update

import store.migrations
from store.engine import Store, connect_store, sqlite_path
from store.errors import Missing, SchemaMismatch, wrap_file, wrapping
from store.keys import begin_instance
from store.schema import APPLICATION_ID, SCHEMA, schema_of
from store.tables.instance import instance


def migrate(url: str, *, create: bool) -> None:
    """Bring the database at ``url`` to the newest schema.

    An empty or missing one is made only where ``create`` says so, else `Missing` is raised. Never touches a database
    that is not ours (`Foreign`) or that a newer version made (`SchemaMismatch`).
    """
    path = sqlite_path(url)
    if path is not None and create:
        _create_file(path)
    opened = connect_store(url)
    try:
        with opened.writing() as connection:
            _wait_for_others(opened, connection)
            _upgrade(connection, create=create)
    finally:
        opened.close()


def _upgrade(connection: Connection, *, create: bool) -> None:
    found = schema_of(connection)
    if found is None and not create:
        raise Missing
    if found is not None and found > SCHEMA:
        raise SchemaMismatch(found=found, known=SCHEMA)
    command.upgrade(configuration(connection), "head")
    if found is None:
        begin_instance(connection, schema=SCHEMA, now=datetime.now(UTC))
    else:
        connection.execute(update(instance).values(schema=SCHEMA))


def configuration(connection: Connection) -> Config:
    """Alembic's settings: the scripts beside this file, run on ``connection`` in the transaction it is in."""
    config = Config()
    config.set_main_option("script_location", str(Path(store.migrations.__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _wait_for_others(opened: Store, connection: Connection) -> None:
    """One migration at a time; on SQLite the file lock sees to it."""
    if opened.kind == "postgresql":
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (APPLICATION_ID,))


def _create_file(path: Path) -> None:
    """An empty database that says whose it is, readable by nobody else; a file with something in it is left alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise wrap_file(error) from error
    if path.stat().st_size:
        return
    with wrapping():
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        finally:
            connection.close()
