"""Numbers that records, rows and receipts get: handed out in blocks, rising, with gaps.

On SQLite a row, for writers queue anyway; on PostgreSQL a sequence, for a row would make every writer wait for the
commit of the one before.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection

from store.errors import Absent, wrapping

#: record: what has a timeline. number: what people see, INC-1001 first. row: everything else. receipt: arrival.
Counter = Literal["record", "number", "row", "receipt"]

_SQLITE = "UPDATE counters SET value = value + ? WHERE name = ? RETURNING value"
_POSTGRESQL = "SELECT reserve_counter(%s, %s)"


def reserve(connection: Connection, name: Counter, count: int) -> range:
    """The next ``count`` numbers, nobody else's from now on. Needs a write transaction."""
    driver: Any = connection.connection.driver_connection
    asked = (_SQLITE, (count, name)) if connection.dialect.name == "sqlite" else (_POSTGRESQL, (name, count))
    with wrapping():
        row = driver.execute(*asked).fetchone()
    if row is None or row[0] is None:
        raise Absent(f"The database has no counter {name!r}; run `triaged migrate`.")
    return range(row[0] - count + 1, row[0] + 1)
