"""G11: triggers of the database itself protect the chain, whoever is connected."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, func, select, text, update

from store.bulk import insert_rows
from store.engine import Store, open_store
from store.errors import Protected
from store.tables.timeline import timeline, tombstones


@pytest.fixture(autouse=True)
def _entries(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, timeline, [(subject, 1, 1, 1, "opened", 0, "{}", b"hash") for subject in (1, 2)])


def _count(store: Store) -> int:
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(timeline)).scalar_one()


def test_no_entry_is_changed(store: Store) -> None:
    with pytest.raises(Protected), store.writing() as connection:
        connection.execute(update(timeline).values(kind="closed"))


def test_no_entry_is_deleted(store: Store) -> None:
    with pytest.raises(Protected), store.writing() as connection:
        connection.execute(delete(timeline).where(timeline.c.subject == 1))
    assert _count(store) == 2


def test_retention_deletes_what_it_left_a_tombstone_for_and_nothing_else(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, tombstones, [(1, 1, b"hash", "service", 1)])
        connection.execute(delete(timeline).where(timeline.c.subject == 1))
    with pytest.raises(Protected), store.writing() as connection:
        connection.execute(delete(timeline))
    assert _count(store) == 1


def test_even_a_tombstone_lets_no_entry_be_changed(store: Store) -> None:
    with store.writing() as connection:
        insert_rows(connection, tombstones, [(1, 1, b"hash", "service", 1)])
    with pytest.raises(Protected), store.writing() as connection:
        connection.execute(update(timeline).values(kind="closed"))


def test_the_whole_timeline_is_not_emptied_at_once(postgresql_url: str) -> None:
    opened = open_store(postgresql_url)
    with pytest.raises(Protected), opened.writing() as connection:
        connection.execute(text("TRUNCATE timeline"))
    opened.close()
