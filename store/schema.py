"""Whose database it is and how new: one integer that the daemon compares, without loading the migrations."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import ProgrammingError

from store.errors import Foreign, Missing, SchemaMismatch
from store.tables.instance import instance

#: The number of the newest migration.
SCHEMA = 3

#: What SQLite keeps in byte 68 of every triaged database: the letters "trgd".
APPLICATION_ID = int.from_bytes(b"trgd", "big")


def schema_of(connection: Connection) -> int | None:
    """The schema number of a database; None where nothing is in it yet. Raises `Foreign`."""
    names = inspect(connection).get_table_names()
    if "instance" not in names:
        if set(names) - {"alembic_version"}:
            raise Foreign
        return None
    try:
        return connection.execute(select(instance.c.schema)).scalar_one_or_none()
    except ProgrammingError as error:
        raise Foreign from error


def check_schema(connection: Connection, known: int = SCHEMA) -> None:
    """Raise `Foreign`, `Missing` or `SchemaMismatch` unless the database has the schema that is known."""
    found = schema_of(connection)
    if found is None:
        raise Missing
    if found != known:
        raise SchemaMismatch(found=found, known=known)
