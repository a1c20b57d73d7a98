"""Which databases are opened, and what is said about the others. Fault 94."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from ledger.errors import NotHere
from ledger.trouble import small_disk
from store.engine import open_store
from store.errors import BadUrl, Foreign, Missing, ReadOnly, SchemaMismatch, StoreUnavailable
from store.migrate import migrate
from store.schema import SCHEMA


def _foreign_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name)")
    connection.close()


@pytest.mark.parametrize("make", [_foreign_database, lambda path: path.write_text("no database at all" * 100)])
def test_a_foreign_file_is_refused_and_left_as_it_was(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(Foreign, match="belongs to something else"):
        open_store(f"sqlite:///{path}")
    with pytest.raises(Foreign):
        migrate(f"sqlite:///{path}", create=True)
    assert path.read_bytes() == before


def test_a_foreign_postgresql_database_is_refused(postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url) as connection:
        connection.execute("DROP TABLE instance")
    with pytest.raises(Foreign):
        open_store(postgresql_url)


@pytest.mark.parametrize(
    ("found", "cure"), [(SCHEMA - 1, "run `triaged migrate`"), (SCHEMA + 1, "install the newer triaged")]
)
def test_another_schema_is_refused_with_what_to_do(store_url: str, found: int, cure: str) -> None:
    opened = open_store(store_url)
    with opened.writing() as connection:
        connection.exec_driver_sql(f"UPDATE instance SET schema = {found}")
    opened.close()
    with pytest.raises(SchemaMismatch, match=cure) as refused:
        open_store(store_url)
    assert (refused.value.found, refused.value.known) == (found, SCHEMA)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        open_store(f"sqlite:///{tmp_path}/triaged.db")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_mounted_read_only_is_told(tmp_path: Path, sqlite_template: Path) -> None:
    """For good, so that nothing loops: 78."""
    try:
        with small_disk(tmp_path / "disk", 64) as disk:
            shutil.copyfile(sqlite_template, disk / "triaged.db")
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            with pytest.raises(ReadOnly, match="mounted read-only") as refused:
                open_store(f"sqlite:///{disk}/triaged.db")
    except NotHere as error:
        pytest.skip(str(error))
    assert refused.value.permanent


def test_an_empty_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "triaged.db").touch()
    with pytest.raises(Missing):
        open_store(f"sqlite:///{tmp_path}/triaged.db")


@pytest.mark.parametrize("url", ["sqlite:///relative.db", "sqlite://", "mysql://desk@db/triaged", "nonsense", ""])
def test_an_unusable_setting_is_told(url: str) -> None:
    with pytest.raises(BadUrl, match="sqlite:////absolute/path"):
        open_store(url)


def test_a_server_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as refused:
        open_store(f"postgresql://triaged@/triaged?host={tmp_path}")
    assert not refused.value.permanent
