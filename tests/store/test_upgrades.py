"""A desk that has lived with an older schema goes on with the newer one, row by row what it would have been."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, select

from daemon.desks import operator
from desk.restore import Resolution
from store.audit import verify
from store.backup import WrongBackup, back_up_older, open_backup
from store.clock import believe_clock
from store.copying import copy_store
from store.counters import last_given, set_given
from store.engine import Store, connect_store, open_store, sqlite_path
from store.errors import SchemaMismatch
from store.listing.incidents import Wanted, list_incidents
from store.migrate import configuration, migrate
from store.queue import PLACE, place_again
from store.reconcile import reconcile
from store.schema import APPLICATION_ID
from store.tables import METADATA
from store.tables.incidents import CLOSED, NO_CLOCK, RESOLVED, incidents
from store.tables.instance import counters, instance
from store.tables.targets import targets


@pytest.fixture
def old(lived: Any, target_url: str) -> Any:
    """The desk of `lived`, in every state that a record can have, and its rows in a database of schema 0001."""
    admin, now = operator(lived.store, "test"), lived.now
    for number in range(1004, 1010):
        opened = lived.acts.open(by=admin, now=now, title=f"Case {number}", text="", requester=None, fields={})
        assert opened.ref == f"INC-{number}"
    lived.acts.wait("INC-1004", by=admin, now=now, on="customer", reason="asked", reference=None, promise=None)
    lived.acts.acknowledge("INC-1005", by=admin, now=now, channel="cli")
    fixed = Resolution(dict.fromkeys(("symptom", "cause", "fix", "check", "customer_summary"), "an old disk"))
    lived.acts.resolve("INC-1006", by=admin, now=now, resolution=fixed)
    lived.acts.close("INC-1007", by=admin, now=now, reason="no work")
    lived.acts.merge("INC-1008", into="INC-1005", by=admin, now=now, reason="the same")
    _build_first(target_url, lived.store)
    return lived


def _build_first(url: str, source: Store) -> None:
    """A database as version 0.1 left it: its schema, and every row of ``source``."""
    path = sqlite_path(url)
    if path is not None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as driver:
            driver.execute(f"PRAGMA application_id={APPLICATION_ID}")
    with closing(connect_store(url)) as target, target.writing() as connection, source.reading() as rows:
        command.upgrade(configuration(connection), "0001")
        first = MetaData()
        first.reflect(connection)
        for table in METADATA.sorted_tables:
            if table is not counters:
                _copy(rows, table, connection, first.tables[table.name])
        connection.execute(instance.update().values(schema=1))
        set_given(connection, last_given(rows))


def _copy(source: Connection, table: Table, target: Connection, older: Table) -> None:
    names = [column.name for column in older.columns]
    found = source.execute(select(*(table.columns[name] for name in names))).mappings().all()
    if found:
        target.execute(older.insert(), [dict(row) for row in found])


def _rows(store: Store) -> dict[str, set[Any]]:
    with store.reading() as connection:
        return {
            table.name: {tuple(row) for row in connection.execute(select(table))}
            for table in METADATA.sorted_tables
            if table is not counters
        }


def _listed(store: Store, states: tuple[str, ...] = ()) -> list[str]:
    with store.reading() as connection:
        wanted = Wanted(states) if states else Wanted()
        return [line.incident.ref for line in list_incidents(connection, wanted, limit=100).items]


def _waited(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A target; an older version did not know how long a step of an escalation waits, so it has the time since then."""
    one = dict(zip((column.name for column in targets.columns), row, strict=True))
    if one["state"] == "running" and one["name"].startswith("escalation."):
        one["length"] = max(one["length"], (one["due_at"] - one["started_at"]) // 1_000_000)
    return tuple(one.values())


def test_every_row_is_what_the_newer_version_would_have_written(old: Any, target_url: str) -> None:
    """With the next clock of each record found, and the list in the same order."""
    with pytest.raises(SchemaMismatch):
        open_store(target_url)
    migrate(target_url, create=False)
    with closing(open_store(target_url)) as upgraded:
        newer = _rows(old.store)
        assert _rows(upgraded) == {**newer, "targets": {_waited(row) for row in newer["targets"]}}
        with upgraded.reading() as connection:
            places = set(connection.execute(select(incidents.c.due_at)).scalars())
            assert {NO_CLOCK, RESOLVED, CLOSED} < places
        assert _listed(upgraded) == _listed(old.store)
        assert _listed(upgraded, ("resolved", "closed")) == ["INC-1006", "INC-1008", "INC-1007"]


def test_an_escalation_of_an_older_version_waits_as_long_as_before(old: Any, target_url: str) -> None:
    """It said of each step that it waits no longer than the first, that is not at all."""
    with closing(connect_store(target_url)) as older, older.writing() as connection:
        escalates = targets.c.name.like("escalation.%"), targets.c.state == "running"
        connection.execute(targets.update().where(*escalates).values(length=0))
    migrate(target_url, create=False)
    with closing(open_store(target_url)) as upgraded:
        before = _rows(upgraded)["targets"]
        assert believe_clock(upgraded, old.now) == {}
        assert _rows(upgraded)["targets"] == before


def test_it_works_on_afterwards(old: Any, target_url: str, tmp_path: Path) -> None:
    """Signals, clocks and the chain; and it can be copied as any other."""
    migrate(target_url, create=False)
    with closing(open_store(target_url)) as upgraded:
        there = type(old)(upgraded, old.desk, old.now)
        there.work()
        there.wait(hours=3)
        assert there.fire().errors == []
        copied = f"sqlite:///{tmp_path}/copied/triaged.db"
        copy_store(upgraded, copied, lambda *_: None)
        for store in (upgraded, open_store(copied)):
            with store.reading() as connection:
                assert verify(connection).first_broken is None
                assert reconcile(connection).differences == []
                assert connection.execute(select(incidents.c.id).where(incidents.c.due_at != PLACE)).all() == []
            store.close()


def test_before_an_sqlite_file_is_changed_a_backup_of_it_is_kept(old: Any, target_url: str) -> None:
    """Fault 108: for the version that made it; also where a migration that was killed left one."""
    path = sqlite_path(target_url)
    kept = [back_up_older(target_url) for _ in range(2)]
    if path is None:
        assert kept == [None, None]
        return
    migrate(target_url, create=False)
    assert back_up_older(target_url) is None
    backup = path.with_name("triaged.db.schema-1")
    assert {made.path for made in kept if made is not None} == {backup}
    with pytest.raises(WrongBackup, match="schema 1"):
        open_backup(backup)
    with closing(open_backup(backup, schema=1)) as before, before.reading() as connection:
        held = connection.exec_driver_sql("SELECT count(*) FROM incidents").scalar()
        assert held == len(old.records())


def test_a_record_is_placed_again_when_its_clocks_were_moved(running: Any) -> None:
    """As a changed one, so that a turn that loaded it before does not put it back."""
    running.mail(b"From: ann@example.com\r\nSubject: dark\r\nMessage-ID: <1@x>\r\n\r\nIt is dark.\r\n")
    running.work()
    with running.store.writing() as connection:
        (record, before, version) = connection.execute(
            select(incidents.c.id, incidents.c.due_at, incidents.c.version)
        ).one()
        hour = timedelta(hours=1) // timedelta(microseconds=1)
        connection.execute(targets.update().values(due_at=targets.c.due_at + hour))
        place_again(connection, [record])
    (row,) = running.records()
    assert (row.due_at, row.version) == (before + hour, version + 1)
