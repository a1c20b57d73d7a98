"""Numbers that records, rows and receipts get: handed out in blocks, rising, with gaps.

On SQLite a row, for writers queue anyway; on PostgreSQL a sequence, for a row would make every writer wait for the
commit of the one before.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection

from store.errors import Absent

#: record: what has a timeline. number: what people see, INC-1001 first. row: everything else. receipt: arrival.
Counter = Literal["record", "number", "row", "receipt"]

_SQLITE = "UPDATE counters SET value = value + ? WHERE name = ? RETURNING value"
_POSTGRESQL = "SELECT reserve_counter(%s, %s)"


def reserve(connection: Connection, name: Counter, count: int) -> range:
    """The next ``count`` numbers, nobody else's from now on. Needs a write transaction."""
    if connection.dialect.name == "sqlite":
        last = connection.exec_driver_sql(_SQLITE, (count, name)).scalar()
    else:
        last = connection.exec_driver_sql(_POSTGRESQL, (name, count)).scalar()
    if last is None:
        raise Absent(f"The database has no counter {name!r}; run `triaged migrate`.")
    return range(last - count + 1, last + 1)
