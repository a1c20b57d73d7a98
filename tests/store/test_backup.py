"""A backup is one file with everything, taken while others write; it fills an empty store of either kind. G13."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from store.audit import verify
from store.backup import Exists, WrongBackup, make_backup, open_backup, restore_backup
from store.claims import Lease, claim_outbox
from store.copying import NotEmpty
from store.counters import reserve
from store.engine import Store, connect_store, open_store
from store.errors import StoreCorrupt, StoreFull
from store.holding import HoldReason, load_hold, release_deliveries
from store.keys import load_instance, load_keyring
from store.reconcile import reconcile
from store.schema import SCHEMA
from store.steering import retry_notification
from store.tables import METADATA
from store.tables.instance import counters, instance, keys
from store.tables.outbox import outbox

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def contents_of(store: Store) -> dict[str, set[Any]]:
    """Every row of every table but the counters, which both kinds keep in their own way."""
    with store.reading() as connection:
        return {
            table.name: {tuple(row) for row in connection.execute(select(table))}
            for table in METADATA.sorted_tables
            if table is not counters
        }


def _without_hold(rows: dict[str, set[Any]]) -> dict[str, set[Any]]:
    held = {instance.name: {row[:-2] for row in rows[instance.name]}}
    return {**rows, **held}


def test_a_restored_store_holds_the_same_rows_and_tells_nobody(
    lived: Any, target_url: str, tmp_path: Path
) -> None:
    """From either kind into either kind: ids, keys, chain and counters are those of the original."""
    made = make_backup(lived.store, tmp_path / "b.db", _quiet)
    restore_backup(made.path, target_url, as_copy=False, now=lived.now, tell=_quiet)
    restored = open_store(target_url)
    try:
        before = contents_of(lived.store)
        assert _without_hold(contents_of(restored)) == _without_hold(before)
        assert min(len(before[name]) for name in ("receipts", "contents", "timeline", "outbox", "checkpoints")) > 0
        with restored.reading() as connection:
            hold = load_hold(connection)
            assert hold is not None
            assert (hold.since, hold.reason) == (lived.now, HoldReason.RESTORED)
            assert verify(connection).first_broken is None
            assert reconcile(connection).differences == []
        with restored.writing() as connection:
            numbers = [reserve(connection, name, 1)[0] for name in ("record", "number", "row", "receipt")]
        with lived.store.writing() as connection:
            assert numbers == [reserve(connection, name, 1)[0] for name in ("record", "number", "row", "receipt")]
    finally:
        restored.close()


def test_a_restored_desk_works_on(lived: Any, target_url: str, tmp_path: Path) -> None:
    made = make_backup(lived.store, tmp_path / "b.db", _quiet)
    restore_backup(made.path, target_url, as_copy=False, now=lived.now, tell=_quiet)
    restored = open_store(target_url)
    try:
        other = type(lived)(restored, lived.desk, lived.now)
        assert [done.dispositions["repeated"] for done in other.work()] == [2]
        with restored.reading() as connection:
            assert reconcile(connection).differences == []
    finally:
        restored.close()


def test_a_copy_is_another_desk_that_no_token_of_the_original_opens(
    lived: Any, target_url: str, tmp_path: Path
) -> None:
    made = make_backup(lived.store, tmp_path / "b.db", _quiet)
    restore_backup(made.path, target_url, as_copy=True, now=lived.now, tell=_quiet)
    restored = open_store(target_url)
    try:
        with restored.reading() as connection, lived.store.reading() as original:
            assert load_instance(connection).id != load_instance(original).id
            secrets = {bytes(row) for row in connection.execute(select(keys.c.secret)).scalars()}
            assert not secrets & {bytes(row) for row in original.execute(select(keys.c.secret)).scalars()}
            assert load_keyring(connection) != load_keyring(original)
            assert load_hold(connection) is not None
    finally:
        restored.close()


def test_a_copy_leaves_to_the_original_what_is_still_to_be_told(lived: Any, target_url: str, tmp_path: Path) -> None:
    """Such mails carry the original's Message-IDs and links; the original tells them, and nobody tells twice."""
    with lived.store.writing() as connection:
        waiting = [row.id for row in connection.execute(select(outbox).where(outbox.c.next_at.is_not(None)))]
        ready, dead, delivered = waiting[:3]
        for number, state in ((ready, "ready"), (dead, "dead"), (delivered, "delivered")):
            fixed = {"state": state, "bytes": b"https://desk.example.com/ack/TOKEN"}
            connection.execute(update(outbox).where(outbox.c.id == number).values(fixed))
        connection.execute(update(outbox).where(outbox.c.state.in_(("dead", "delivered"))).values(next_at=None))
    made = make_backup(lived.store, tmp_path / "b.db", _quiet)
    restore_backup(made.path, target_url, as_copy=True, now=lived.now, tell=_quiet)
    restored = open_store(target_url)
    try:
        with restored.writing() as connection:
            release_deliveries(connection)
            lease = Lease("worker.1", lived.now + timedelta(days=1), timedelta(seconds=60))
            assert [claim_outbox(connection, lease, state=state, limit=9) for state in ("waiting", "ready")] == [[], []]
            assert not any(retry_notification(connection, number, lived.now) for number in (*waiting, dead))
            rows = connection.execute(select(outbox).where(outbox.c.state != "delivered")).all()
            assert {(row.message_id, row.bytes) for row in rows} == {("", None)}
            assert {row.reason for row in rows if row.id in {*waiting} - {dead, delivered}} == {"left_to_original"}
            (told,) = connection.execute(select(outbox).where(outbox.c.state == "delivered")).all()
            assert told.message_id
    finally:
        restored.close()


def test_a_backup_is_one_file_that_only_its_owner_reads_and_its_sum_is_told(lived: Any, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    told: list[tuple[int, int]] = []
    made = make_backup(lived.store, folder / "b.db", lambda done, total: told.append((done, total)))
    assert [path.name for path in folder.iterdir()] == ["b.db"]
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert (made.size, made.sha256) == (made.path.stat().st_size, hashlib.sha256(made.path.read_bytes()).hexdigest())
    assert told[-1][0] == told[-1][1] > 0
    with lived.store.reading() as connection:
        assert made.instance == load_instance(connection).id


def test_a_restore_leaves_the_backup_as_it_is(lived: Any, target_url: str, tmp_path: Path) -> None:
    """A backup may lie where nothing can be written, and its sum must go on to fit."""
    made = make_backup(lived.store, tmp_path / "b.db", _quiet)
    made.path.chmod(0o400)
    restore_backup(made.path, target_url, as_copy=False, now=lived.now, tell=_quiet)
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == made.sha256
    assert not list(tmp_path.glob("b.db?*"))


def test_a_backup_overwrites_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "b.db").write_text("mine")
    with pytest.raises(Exists):
        make_backup(store, tmp_path / "b.db", _quiet)
    assert (tmp_path / "b.db").read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_not_overwritten_either(store: Store, tmp_path: Path) -> None:
    def appear(done: int, total: int) -> None:
        del done, total
        (tmp_path / "b.db").write_text("mine")

    with pytest.raises(Exists):
        make_backup(store, tmp_path / "b.db", appear)
    assert (tmp_path / "b.db").read_text() == "mine"
    assert not list(tmp_path.glob(".b.db*"))


def test_a_full_disk_leaves_nothing_half_written(store: Store, tmp_path: Path) -> None:
    def fill(done: int, total: int) -> None:
        del done, total
        raise StoreFull

    with pytest.raises(StoreFull, match="no room for"):
        make_backup(store, tmp_path / "b.db", fill)
    assert not list(tmp_path.glob("*b.db*"))


def test_a_file_system_without_hard_links_will_do(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(names[0]))

    monkeypatch.setattr("os.link", refuse)
    made = make_backup(store, tmp_path / "b.db", _quiet)
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == made.sha256


def test_only_an_empty_store_is_filled(lived: Any, store_url: str, tmp_path: Path) -> None:
    made = make_backup(lived.store, tmp_path / "b.db", _quiet)
    before = contents_of(lived.store)
    with pytest.raises(NotEmpty):
        restore_backup(made.path, store_url, as_copy=False, now=lived.now, tell=_quiet)
    assert contents_of(lived.store) == before


def test_writers_go_on_while_a_backup_is_taken(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 93's cure costs nobody a wait: the backup is of one instant, and commits are made all the time."""
    store = open_store(sqlite_url)
    with store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO contents VALUES (zeroblob(32), 0, zeroblob(20000000))")
    stop, written = threading.Event(), []

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with store.writing() as connection:
                connection.exec_driver_sql(
                    "INSERT INTO budgets VALUES (?, 'automatic', 0, 1)", (f"a{number}@example.com",)
                )
                connection.exec_driver_sql(
                    "INSERT INTO nodes VALUES (?, 0, 0)", (f"a{number}",)
                )
            written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    try:
        made = make_backup(store, tmp_path / "b.db", lambda *_: seen.append(len(written)))
    finally:
        stop.set()
        writer.join()
        store.close()
    assert seen[-1] > seen[0]
    driver = sqlite3.connect(made.path)
    counts = [driver.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("budgets", "nodes")]
    driver.close()
    assert counts[0] == counts[1] <= len(written)


def test_a_damaged_database_gives_no_backup(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 93: better no backup than one that can't be restored."""
    _damage(Path(sqlite_url.removeprefix("sqlite:///")))
    store = connect_store(sqlite_url)
    with pytest.raises(StoreCorrupt):
        make_backup(store, tmp_path / "b.db", _quiet)
    store.close()
    assert [one.name for one in tmp_path.glob("*b.db*")] == []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:30_000])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()


def _newer(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"UPDATE instance SET schema = {SCHEMA + 1}")
    connection.close()


def _nonsense(path: Path) -> None:
    path.write_bytes(b"nonsense" * 999)


def _damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 200)


@pytest.mark.parametrize("spoil", [Path.unlink, _empty, _foreign, _newer, _nonsense, _cut, _damage])
def test_what_is_no_backup_is_refused_and_fills_nothing(
    sqlite_url: str, tmp_path: Path, spoil: Callable[[Path], Any]
) -> None:
    """Faults 93, 94 and 109."""
    store = open_store(sqlite_url)
    made = make_backup(store, tmp_path / "b.db", _quiet)
    store.close()
    spoil(made.path)
    with pytest.raises(WrongBackup):
        restore_backup(
            made.path, f"sqlite:///{tmp_path}/new/triaged.db", as_copy=False, now=NOON, tell=_quiet
        )
    assert not (tmp_path / "new").exists()


_DIE = """
import os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import store.copying
from store.backup import restore_backup

def die(done, total):
    if done > total / 2:
        os._exit(9)

restore_backup(Path(sys.argv[1]), sys.argv[2], as_copy=False, now=datetime.now(UTC), tell=die)
"""


def test_a_restore_killed_half_way_is_done_again_whole(lived: Any, target_url: str, tmp_path: Path) -> None:
    made = make_backup(lived.store, tmp_path / "b.db", _quiet)
    command = [sys.executable, "-c", _DIE, str(made.path), target_url]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode == 9
    restore_backup(made.path, target_url, as_copy=False, now=lived.now, tell=_quiet)
    restored = open_store(target_url)
    assert _without_hold(contents_of(restored)) == _without_hold(contents_of(lived.store))
    restored.close()


def test_a_backup_can_be_opened_only_to_read(store: Store, tmp_path: Path) -> None:
    made = make_backup(store, tmp_path / "b.db", _quiet)
    opened = open_backup(made.path)
    with opened.reading() as connection, store.reading() as original:
        assert load_instance(connection) == load_instance(original)
    opened.close()
    assert not list(tmp_path.glob("b.db?*"))
