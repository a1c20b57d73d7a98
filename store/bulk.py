"""Hot rows: tuples in the order of the table's columns, by the statement that Core compiled once.

A turn writes some eight tables; through Core a new incident costs twice the time, on PostgreSQL ten times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, any_, literal
from sqlalchemy.dialects import postgresql, sqlite

from store.columns import METADATA
from store.errors import wrapping

Row = tuple[Any, ...]

_ROWS_TOGETHER = 32  # a driver keeps 128 statements prepared
_VALUES = re.compile(r"(?<=VALUES )(\([^)]*\))")
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \(([^)]*)\)")
_SQLITE = sqlite.dialect()
_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert ``rows``. Raises `Collision` where a unique key exists already."""
    if not rows:
        return
    driver: Any = connection.connection.driver_connection
    with wrapping():
        if connection.dialect.name == "sqlite":
            driver.executemany(_insert(table), rows)
            return
        statement, types = _copy(table)
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)


def update_rows(
    connection: Connection,
    table: Table,
    *,
    rows: Sequence[Row],
    match: tuple[str, ...],
    assign: tuple[str, ...] = (),
    add: tuple[str, ...] = (),
) -> int:
    """Update one row of ``table`` for each of ``rows``; how many there were, for the caller to check.

    A row holds the values of ``match`` (equal to the columns, none null), then of ``assign`` (the new ones), then of
    ``add`` (put on top of the old). It may match once only. A guard is a column in both ``match`` and ``assign``:
    the old version there, the new one here.
    """
    if not rows:
        return 0
    if len(rows) > 1:
        rows = sorted(rows, key=itemgetter(*range(len(match))))
    driver: Any = connection.connection.driver_connection
    with wrapping():
        if connection.dialect.name == "sqlite":
            return int(driver.executemany(_update_each(table, match, assign, add), rows).rowcount)
        columns = [list(column) for column in zip(*rows, strict=True)]
        return int(driver.execute(_update_all(table, match, assign, add), columns).rowcount)


def write_rows(connection: Connection, statement: str, rows: Sequence[Row]) -> int:
    """Run one statement, with a ``?`` for every value, for each of ``rows``; how many rows it changed."""
    if not rows:
        return 0
    driver: Any = connection.connection.driver_connection
    with wrapping():
        if connection.dialect.name == "sqlite":
            return int(driver.executemany(statement, rows).rowcount)
        with driver.cursor() as cursor:
            cursor.executemany(statement.replace("?", "%s"), rows)
            return int(cursor.rowcount)


def add_rows(connection: Connection, statement: str, rows: Sequence[Row]) -> int:
    """The same for an insert, many rows by one statement; for one that updates what is there, every key once.

    On SQLite a thread has to wait for its turn with the others of its process after each statement, which beside a
    busy event loop costs more than the rows do; on PostgreSQL each statement is a message and an answer.
    """
    return sum(int(done.rowcount) for done in _inserts(connection, statement, rows))


def added_rows(connection: Connection, statement: str, rows: Sequence[Row]) -> list[Row]:
    """The same for an insert that returns something of each row."""
    return [row for done in _inserts(connection, statement, rows) for row in done.fetchall()]


def _inserts(connection: Connection, statement: str, rows: Sequence[Row]) -> Iterator[Any]:
    """The cursor of each statement that was needed."""
    driver: Any = connection.connection.driver_connection
    with wrapping():
        if rows and connection.dialect.name != "sqlite":
            columns = [list(column) for column in zip(*rows, strict=True)]
            yield driver.execute(_insert_all(statement), columns)
            return
        for start in range(0, len(rows), _ROWS_TOGETHER):
            some = rows[start : start + _ROWS_TOGETHER]
            values = tuple(value for row in some for value in row)
            yield driver.execute(_insert_of(statement, len(some)), values)


@lru_cache(maxsize=8 * _ROWS_TOGETHER)
def _insert_of(statement: str, count: int) -> str:
    """An insert of one row made one of ``count`` rows."""
    before, values, after = _VALUES.split(statement)
    return before + ", ".join([values] * count) + after


@lru_cache(maxsize=16)
def _insert_all(statement: str) -> str:
    """An insert of one row made one of many, with an array for every question mark."""
    found = _INSERT.match(statement)
    if found is None:
        raise ValueError(statement)
    name, names, values = found[1], found[2].split(", "), found[3].split(", ")
    columns = METADATA.tables[name].columns
    given = [columns[column.strip('"')] for column, value in zip(names, values, strict=True) if value == "?"]
    arrays = ", ".join(f"%b::{_type(column)}[]" for column in given)
    places = [f"v{place}" for place in range(len(given))]
    place = iter(places)
    chosen = ", ".join(next(place) if value == "?" else value for value in values)
    made = f"INSERT INTO {name} ({found[2]}) SELECT {chosen} FROM unnest({arrays}) AS new({', '.join(places)})"  # noqa: S608 - names and places only
    return made + statement[found.end() :]


def rows_with(connection: Connection, column: Column[str], values: Iterable[str]) -> list[Row]:
    """The whole rows whose unique text column is one of ``values``, however many, by one statement."""
    wanted = list(values)
    if not wanted:
        return []
    driver: Any = connection.connection.driver_connection
    given = json.dumps(wanted) if connection.dialect.name == "sqlite" else wanted
    with wrapping():
        return list(driver.execute(_with(column, connection.dialect.name), (given,)).fetchall())


def is_among(connection: Connection, column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """That a column is one of a thousand ``values`` at most: on PostgreSQL one statement, however many they are."""
    if connection.dialect.name == "sqlite":
        return column.in_(values)
    return column == any_(literal(list(values), postgresql.ARRAY(column.type)))


@lru_cache(maxsize=64)
def _with(column: Column[str], kind: str) -> str:
    names = ", ".join(_quoted(each) for each in column.table.columns)
    among = "IN (SELECT value FROM json_each(?))" if kind == "sqlite" else "= ANY(%s)"
    return f"SELECT {names} FROM {column.table.name} WHERE {_quoted(column)} {among}"  # noqa: S608 - names only


@lru_cache(maxsize=64)
def _insert(table: Table) -> str:
    return str(table.insert().compile(dialect=_SQLITE))


@lru_cache(maxsize=64)
def _copy(table: Table) -> tuple[str, list[str]]:
    names = ", ".join(_quoted(column) for column in table.columns)
    return f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)", [_type(column) for column in table.columns]


@lru_cache(maxsize=256)
def _update_each(table: Table, match: tuple[str, ...], assign: tuple[str, ...], add: tuple[str, ...]) -> str:
    """With a question mark for every value of one row."""
    values = [f"?{place}" for place in range(1, len(match) + len(assign) + len(add) + 1)]
    changes, where = _clauses(table, names=(match, assign, add), values=values)
    return f"UPDATE {table.name} AS old SET {changes} WHERE {where}"  # noqa: S608 - names and places only


@lru_cache(maxsize=256)
def _update_all(table: Table, match: tuple[str, ...], assign: tuple[str, ...], add: tuple[str, ...]) -> str:
    """With an array for every column of all rows."""
    names = (*match, *assign, *add)
    values = [f"new.v{place}" for place in range(len(names))]
    changes, where = _clauses(table, names=(match, assign, add), values=values)
    arrays = ", ".join(f"%b::{_type(table.columns[name])}[]" for name in names)
    places = ", ".join(f"v{place}" for place in range(len(names)))
    return f"UPDATE {table.name} AS old SET {changes} FROM unnest({arrays}) AS new({places}) WHERE {where}"  # noqa: S608 - as above


def _clauses(table: Table, *, names: tuple[tuple[str, ...], ...], values: list[str]) -> tuple[str, str]:
    """What to set, and which row."""
    match, assign, add = ([_quoted(table.columns[name]) for name in group] for group in names)
    value = iter(values)
    where = [f"old.{name} = {next(value)}" for name in match]
    changes = [f"{name} = {next(value)}" for name in assign]
    changes += [f"{name} = old.{name} + {next(value)}" for name in add]
    return ", ".join(changes), " AND ".join(where)


def _quoted(column: Column[Any]) -> str:
    return _POSTGRESQL.identifier_preparer.quote(column.name)


def _type(column: Column[Any]) -> str:
    return str(column.type.compile(dialect=_POSTGRESQL)).lower()
