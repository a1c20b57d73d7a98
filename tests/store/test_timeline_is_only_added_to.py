"""G11: triggers of the database itself protect the chain, whoever is connected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete, func, make_url, select, text, update
from sqlalchemy.exc import ProgrammingError

from store.bulk import insert_rows
from store.engine import Store, open_store
from store.errors import Protected, StoreError
from store.migrate import migrate
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


@pytest.fixture
def plain_url(postgresql_server: Any, empty_postgresql_url: str) -> Iterator[str]:
    """A database of a role that is no superuser, as an operator makes it; nothing is forbidden to a superuser."""
    postgresql_server.run("CREATE ROLE desk LOGIN")
    database = make_url(empty_postgresql_url).database
    postgresql_server.run(f"ALTER DATABASE {database} OWNER TO desk")
    yield empty_postgresql_url.replace("//triaged@", "//desk@")
    postgresql_server.run(f"ALTER DATABASE {database} OWNER TO triaged")
    with psycopg.connect(empty_postgresql_url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY desk")
    postgresql_server.run("DROP ROLE desk")


def test_the_role_of_the_daemon_has_no_right_to_change_the_timeline(plain_url: str) -> None:
    """It may add, and delete what has a tombstone; even where the triggers were gone, nothing would be changed."""
    migrate(plain_url, create=True)
    with closing(open_store(plain_url)) as store:
        with store.writing() as connection:
            insert_rows(connection, timeline, [(1, 1, 1, 1, "opened", 0, "{}", b"hash")])
            connection.exec_driver_sql("ALTER TABLE timeline DISABLE TRIGGER USER")
        for statement in ("UPDATE timeline SET kind = 'closed'", "TRUNCATE timeline"):
            with pytest.raises(StoreError) as refused, store.writing() as connection:
                connection.exec_driver_sql(statement)
            assert isinstance(refused.value.__cause__, ProgrammingError)
            assert isinstance(refused.value.__cause__.orig, psycopg.errors.InsufficientPrivilege)
        with store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE timeline ENABLE TRIGGER USER")
        with pytest.raises(Protected), store.writing() as connection:
            connection.execute(delete(timeline))
        with store.writing() as connection:
            insert_rows(connection, tombstones, [(1, 1, b"hash", "service", 1)])
            connection.execute(delete(timeline))
        assert _count(store) == 0


def test_the_whole_timeline_is_not_emptied_at_once(postgresql_url: str) -> None:
    opened = open_store(postgresql_url)
    with pytest.raises(Protected), opened.writing() as connection:
        connection.execute(text("TRUNCATE timeline"))
    opened.close()
