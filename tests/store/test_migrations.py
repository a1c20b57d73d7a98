"""The schema that the revisions build is the schema that the code describes. Fault 108."""

from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from store.engine import Store, connect_store, open_store
from store.errors import Missing
from store.keys import load_instance
from store.migrate import configuration, migrate
from store.schema import SCHEMA, schema_of
from store.tables import METADATA

ROOT = Path(__file__).parents[2]


def _differences(store: Store) -> list[Any]:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = compare_metadata(context, METADATA)
    return found


def test_the_revisions_build_what_the_tables_say(store: Store) -> None:
    assert _differences(store) == []


def test_partial_indexes_are_the_same_rows(store: Store) -> None:
    """Alembic doesn't compare what makes an index partial."""
    said = {
        str(index.name): _condition(index.dialect_options[store.kind]["where"])
        for table in METADATA.tables.values()
        for index in table.indexes
    }
    with store.reading() as connection:
        look = inspect(connection)
        built = {
            str(index["name"]): _condition(index.get("dialect_options", {}).get(f"{store.kind}_where"))
            for name in METADATA.tables
            for index in look.get_indexes(name)
            if not index.get("duplicates_constraint")
        }
    assert built == said


def _condition(where: object) -> str:
    """PostgreSQL writes brackets and types of its own."""
    return "" if where is None else str(where).replace("(", "").replace(")", "").replace("::text", "")


def test_the_comparison_can_fail(store: Store) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("DROP INDEX ix_links_to")
        connection.exec_driver_sql("ALTER TABLE links DROP COLUMN note")
    kinds = {difference[0] for difference in _differences(store)}
    assert kinds == {"add_index", "add_column"}


def test_the_number_in_the_code_is_the_newest_revision(store: Store) -> None:
    with store.reading() as connection:
        script = ScriptDirectory.from_config(configuration(connection))
        assert int(script.get_current_head() or 0) == SCHEMA == schema_of(connection)


def test_migrating_again_changes_nothing(store: Store, store_url: str) -> None:
    with store.reading() as connection:
        before = load_instance(connection)
    migrate(store_url, create=False)
    migrate(store_url, create=True)
    with store.reading() as connection:
        assert load_instance(connection) == before


def test_a_missing_database_is_made_only_when_that_is_asked_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state/triaged.db"
    with pytest.raises(Missing):
        migrate(url, create=False)
    assert list(tmp_path.iterdir()) == []
    migrate(url, create=True)
    assert stat.S_IMODE((tmp_path / "state" / "triaged.db").stat().st_mode) == 0o600
    open_store(url).close()


def test_an_empty_postgresql_database_is_filled_only_when_that_is_asked_for(empty_postgresql_url: str) -> None:
    with pytest.raises(Missing):
        migrate(empty_postgresql_url, create=False)
    with pytest.raises(Missing):
        open_store(empty_postgresql_url)
    migrate(empty_postgresql_url, create=True)
    open_store(empty_postgresql_url).close()


def test_migrations_at_once_wait_for_each_other(empty_url: str) -> None:
    """Two nodes start with the new version: one migrates, the other finds it done."""
    with ThreadPoolExecutor(2) as threads:
        started = [threads.submit(_run, "", empty_url) for _ in range(2)]
        assert [future.result() for future in started] == [0, 0]
    opened = open_store(empty_url)
    with opened.reading() as connection:
        load_instance(connection)
    opened.close()


_DIE = """
import os
import store.migrate
store.migrate.begin_instance = lambda *args, **kwargs: os._exit(9)
"""


def test_a_migration_killed_half_way_never_happened_and_the_next_does_it_whole(empty_url: str) -> None:
    assert _run(_DIE, empty_url) == 9
    store = connect_store(empty_url)
    with store.reading() as connection:
        assert inspect(connection).get_table_names() == []
    store.close()
    assert _run("", empty_url) == 0
    open_store(empty_url).close()


_DIE_AT = """
import os, signal
from itertools import count
from sqlalchemy import Engine, event
statements = count(1)

@event.listens_for(Engine, "before_cursor_execute")
def die(*args):
    if next(statements) == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("step", [5, 20, 40])
def test_a_migration_killed_at_any_step_is_made_whole_by_the_next(empty_url: str, step: int) -> None:
    """Among the statements that make tables, indexes and triggers; a real kill -9."""
    assert _run(_DIE_AT.format(step=step), empty_url) == -9
    assert _run("", empty_url) == 0
    store = open_store(empty_url)
    assert _differences(store) == []
    store.close()


def _run(before: str, url: str) -> int:
    """The exit status of a process that migrates."""
    code = f"{before}\nimport sys\nfrom store.migrate import migrate\nmigrate(sys.argv[1], create=True)"
    command = [sys.executable, "-W", "error", "-c", code, url]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode


def test_opening_a_store_loads_no_alembic() -> None:
    code = "import sys, store.engine, store.claims, store.keys, store.receipts; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60).returncode == 0
