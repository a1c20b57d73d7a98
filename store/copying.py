"""Every row of one database into another of either kind, in one snapshot and one transaction.

Hot rows are alike on both kinds (`store.columns`), so a table is copied as it is, the chain included; only the counters
are kept in another form. What a kill interrupts never happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, func, select

from store.bulk import insert_rows
from store.counters import last_given, set_given
from store.engine import Store, open_store
from store.errors import Missing, StoreError
from store.migrate import migrate
from store.tables import METADATA
from store.tables.incidents import incidents
from store.tables.instance import counters, instance, keys
from store.tables.outbox import outbox
from store.tables.receipts import contents, receipts

#: Called with the rows copied so far and all there are.
Tell = Callable[[int, int], None]

#: Rows at once; those that hold bytes are few, so that no batch needs more than some 20 MB.
_BATCH, _HEAVY_BATCH = 2000, 16
_HEAVY = (contents, outbox)
#: What a database holds from its first second, and gives up for what is copied into it.
_FIRST_ROWS = (instance, keys, counters)


class NotEmpty(StoreError):
    """The store is not empty: name another one in the setting `store`, or move this one away."""

    code = "store.not_empty"


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, in rows."""

    rows: int
    receipts: int
    records: int


def open_empty(url: str) -> Store:
    """The database at ``url``, made where there is none yet; whether it is empty is seen when it is filled."""
    try:
        return open_store(url)
    except Missing:
        migrate(url, create=True)
        return open_store(url)


def copy_store(source: Store, url: str, tell: Tell) -> Copied:
    """Fill the empty database at ``url`` with all that ``source`` holds: the same desk in another place."""
    with closing(open_empty(url)) as target, source.reading(longest=None) as rows, target.writing() as connection:
        return copy_rows(rows, connection, tell)


def copy_rows(source: Connection, target: Connection, tell: Tell) -> Copied:
    """Copy all that ``source`` sees into ``target``, which holds its first rows only. Raises `NotEmpty`.

    ``source`` is a reading transaction, ``target`` a writing one; both have this program's schema.
    """
    _make_room(target)
    tables = [table for table in METADATA.sorted_tables if table is not counters]
    sizes = {table: source.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}
    total, done = sum(sizes.values()), 0
    tell(done, total)
    for table in tables:
        for count in _copy_table(source, target, table):
            done += count
            tell(done, total)
    set_given(target, last_given(source))
    return Copied(done, sizes[receipts], sizes[incidents])


def _copy_table(source: Connection, target: Connection, table: Table) -> Iterator[int]:
    """Copy batch by batch; gives the rows of each."""
    batch = _HEAVY_BATCH if table in _HEAVY else _BATCH
    found = source.execute(select(table), execution_options={"stream_results": True, "yield_per": batch})
    for rows in found.partitions():
        insert_rows(target, table, [tuple(row) for row in rows])
        yield len(rows)


def _make_room(target: Connection) -> None:
    """Take away the first rows, after a look whether there are others; nobody opens this store until it is whole."""
    if target.dialect.name == "postgresql":
        target.exec_driver_sql("LOCK TABLE instance IN ACCESS EXCLUSIVE MODE")
    for table in METADATA.sorted_tables:
        if table not in _FIRST_ROWS and target.execute(select(table).limit(1)).first() is not None:
            raise NotEmpty
    target.execute(delete(instance))
    target.execute(delete(keys))
