"""Hot rows are the rows that Core would have written, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Connection, LargeBinary, SmallInteger, Table, insert, select

from kit.text import clean_text
from store.bulk import add_rows, insert_rows, update_rows, write_rows
from store.engine import Store
from store.tables import METADATA
from store.tables.outbox import budgets
from store.tables.people import addresses, people

_HOSTILE = clean_text("\x00\udc80 Zoë ☃ 🦊 \t\\N\\.\r\n\\t ' \" ; % %s ? :x {a,b} \u202e e\u0301 \x1b[31m \x7f")


def _value(column: Column[Any], *, bare: bool) -> Any:
    """The most awkward value that a column takes; ``bare``: none where none is allowed."""
    if column.nullable and bare:
        return None
    if isinstance(column.type, SmallInteger):
        return 32_767 - bare
    if isinstance(column.type, BigInteger):
        return 2**62 + bare
    if isinstance(column.type, LargeBinary):
        return bytes(range(256)) + bytes([bare])
    return _HOSTILE + str(bare)


class _UndoError(Exception):
    """Ends a transaction whose rows nobody needs."""


def _written(store: Store, table: Table, write: Callable[[Connection], object]) -> list[Any]:
    rows: list[Any] = []
    with suppress(_UndoError), store.writing() as connection:
        connection.execute(table.delete())
        write(connection)
        rows += sorted(tuple(row) for row in connection.execute(select(table)))
        raise _UndoError
    return rows


@pytest.mark.parametrize("name", sorted(METADATA.tables))
def test_hot_rows_equal_the_rows_of_core(store: Store, name: str) -> None:
    table = METADATA.tables[name]
    rows = [tuple(_value(column, bare=bare) for column in table.columns) for bare in (False, True)]
    named = [dict(zip(table.columns.keys(), row, strict=True)) for row in rows]
    hot = _written(store, table, lambda connection: insert_rows(connection, table, rows))
    cold = _written(store, table, lambda connection: connection.execute(insert(table), named))
    assert hot == cold == sorted(rows)


def test_no_rows_are_no_work(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, people, [])
        assert update_rows(connection, people, rows=[], match=("id",), assign=("name",)) == 0
        assert write_rows(connection, "never read", []) == 0


def _people(connection: Connection) -> list[Any]:
    columns = (people.c.id, people.c.handle, people.c.name, people.c.erased_at)
    return [tuple(row) for row in connection.execute(select(*columns).order_by(people.c.id))]


def test_an_update_assigns_and_adds_and_counts_its_rows(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, people, [(n, f"h{n}", "before", None, None, n) for n in (1, 2, 3)])
        rows = [(3, _HOSTILE, None, 10), (1, "after", "h9", 20), (4, "nobody", "h4", 1)]
        found = update_rows(
            connection, people, rows=rows, match=("id",), assign=("name", "handle"), add=("erased_at",)
        )
        assert found == 2
        assert _people(connection) == [(1, "h9", "after", 21), (2, "h2", "before", 2), (3, None, _HOSTILE, 13)]


def test_a_guard_that_fails_is_seen_in_the_count(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, people, [(1, None, "first", None, None, None), (2, None, "first", None, None, None)])
        rows = [(1, "first", "second"), (2, "other", "second")]
        assert update_rows(connection, people, rows=rows, match=("id", "name"), assign=("name",)) == 1
        assert [row[2] for row in _people(connection)] == ["second", "first"]


def test_an_update_may_clear_a_column_in_all_rows(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, addresses, [("ana@example.com", 1, 5, None, "typed")])
        rows = [("ana@example.com", None, None)]
        assert update_rows(connection, addresses, rows=rows, match=("address",), assign=("verified_at", "reason")) == 1
        assert connection.execute(select(addresses.c.verified_at, addresses.c.reason)).one() == (None, None)


def test_many_rows_of_one_insert_are_counted_but_for_those_that_were_there(store: Store) -> None:
    """More than one statement holds, and the same row twice among them."""
    statement = "INSERT INTO people (id, handle, name) VALUES (?, ?, 'new') ON CONFLICT DO NOTHING"
    with store.writing() as connection:
        insert_rows(connection, people, [(7, "there", "before", None, None, None)])
        assert add_rows(connection, statement, [(n, f"h{n}") for n in (*range(100), 3)]) == 99
        assert add_rows(connection, statement, []) == 0
        assert len(_people(connection)) == 100
        assert _people(connection)[7][1] == "there"


def test_many_rows_of_one_insert_add_to_those_that_were_there(store: Store) -> None:
    statement = (
        "INSERT INTO budgets (address, kind, hour, count) VALUES (?, 'page', ?, ?)"
        " ON CONFLICT (address, kind, hour) DO UPDATE SET count = budgets.count + excluded.count"
    )
    with store.writing() as connection:
        insert_rows(connection, budgets, [("b@example.com", "page", 1, 5)])
        rows = [(f"{name}@example.com", 1, 2) for name in ("a", "b", "c")]
        assert add_rows(connection, statement, rows) == 3
        counts = connection.execute(select(budgets.c.address, budgets.c["count"]).order_by(budgets.c.address))
        assert [tuple(row) for row in counts] == [("a@example.com", 2), ("b@example.com", 7), ("c@example.com", 2)]
