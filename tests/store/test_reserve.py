"""Fault 92: on a disk that is full to the last byte marks are written, and nothing else, until there is room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from ledger.errors import NotHere
from ledger.trouble import ballast, small_disk
from store.bulk import insert_rows
from store.engine import Store, open_store
from store.errors import StoreFull
from store.reserve import ROOM, SIZE, reserve_path
from store.tables.people import people
from store.upkeep import checkpoint_wal, keep_reserve


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 192 MiB."""
    try:
        with small_disk(tmp_path / "disk", 192) as folder:
            yield folder
    except NotHere as error:
        pytest.skip(str(error))


@pytest.fixture
def desk(disk: Path, sqlite_template: Path) -> Iterator[Store]:
    """A database on it."""
    shutil.copyfile(sqlite_template, disk / "triaged.db")
    opened = open_store(f"sqlite:///{disk / 'triaged.db'}")
    yield opened
    opened.close()


def write(connection: Connection, first: int, kibibytes: int = 1) -> None:
    name = "x" * 1024
    rows = [(first + number, None, name, None, None, None) for number in range(kibibytes)]
    insert_rows(connection, people, rows)


def written(store: Store) -> int:
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(people)).scalar_one()


def test_a_full_disk_takes_marks_and_nothing_else(desk: Store, disk: Path) -> None:
    """Also not what would fit into the room that marks were given; with room again all is as before."""
    keep_reserve(desk)
    reserve = reserve_path(disk / "triaged.db")
    assert reserve.stat().st_blocks * 512 >= SIZE
    with ballast(disk):
        with pytest.raises(StoreFull), desk.writing() as connection:
            write(connection, 0, kibibytes=1000)
        with desk.marking() as connection:
            write(connection, 1000, kibibytes=1000)
        with pytest.raises(StoreFull), desk.writing() as connection:
            write(connection, 2000)
        with desk.marking() as connection:
            write(connection, 3000, kibibytes=1000)
        assert written(desk) == 2000
        with pytest.raises(StoreFull):
            keep_reserve(desk)
    with desk.writing() as connection:
        write(connection, 4000)
    assert written(desk) == 2001
    assert reserve.stat().st_blocks * 512 >= SIZE


def test_no_checkpoint_takes_the_room_of_marks(desk: Store, disk: Path) -> None:
    """The log may hold more than the reserve, all of which would make the database longer."""
    keep_reserve(desk)
    with desk.reading() as reader:
        reader.execute(people.select()).all()  # so that no commit takes the log back
        for first in range(0, 45_000, 5000):
            with desk.writing() as connection:
                write(connection, first, kibibytes=5000)
    with ballast(disk):
        for number in range(5):
            with desk.marking() as connection:
                write(connection, 100_000 + 1000 * number, kibibytes=1000)
            assert checkpoint_wal(desk) is None
    assert written(desk) == 50_000
    with desk.writing():
        pass
    assert checkpoint_wal(desk) == 0


def test_it_is_made_anew_only_where_there_is_room_beyond_it(desk: Store, disk: Path) -> None:
    """Else doors would open in the very room that was given up."""
    keep_reserve(desk)
    with desk.marking():
        pass
    with (disk / "others").open("wb") as others:
        others.write(bytes(shutil.disk_usage(disk).free - ROOM + 1_048_576))
    with pytest.raises(StoreFull), desk.writing():
        pass
    (disk / "others").unlink()
    with desk.writing():
        pass


def test_without_a_reserve_all_is_written_as_long_as_there_is_room(desk: Store, disk: Path) -> None:
    """A database that no daemon has opened yet, or one on a disk too small."""
    (disk / "others").write_bytes(bytes(shutil.disk_usage(disk).free - ROOM // 2))
    with pytest.raises(StoreFull):
        keep_reserve(desk)
    with desk.writing() as connection:
        write(connection, 0)
    with desk.marking() as connection:
        write(connection, 1)
    assert written(desk) == 2
