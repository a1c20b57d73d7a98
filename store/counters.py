"""Numbers that records, rows and receipts get: handed out in blocks, rising, with gaps.

On SQLite a row, for writers queue anyway; on PostgreSQL a sequence, for a row would make every writer wait for the
commit of the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

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


def last_given(connection: Connection) -> dict[str, int]:
    """The last number of each counter; on PostgreSQL, where no snapshot holds for it, perhaps a later one."""
    if connection.dialect.name == "sqlite":
        return {row[0]: row[1] for row in connection.exec_driver_sql("SELECT name, value FROM counters")}
    found = {}
    for name in get_args(Counter):
        row = connection.exec_driver_sql(f"SELECT last_value, is_called FROM counter_{name}").one()  # noqa: S608 - our own names
        found[name] = row[0] if row[1] else row[0] - 1
    return found


def set_given(connection: Connection, given: Mapping[str, int]) -> None:
    """Go on counting where another database stopped. Needs a write transaction."""
    for name, value in given.items():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("UPDATE counters SET value = ? WHERE name = ?", (value, name))
        else:
            connection.exec_driver_sql("SELECT setval(%s::regclass, %s, false)", (f"counter_{name}", value + 1))
