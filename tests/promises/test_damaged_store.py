"""A database that can't be worked with: the daemon says so, changes nothing, and nothing loops."""

from __future__ import annotations

import smtplib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

RECIPE = ("cp -a", "journalctl -k", "triaged restore", ".recover")


def start(desk: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(desk.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def database(desk: Any) -> Path:
    return Path(desk.folder) / "state" / "triaged.db"


def filled(desk: Any, mail_of: Callable[..., Any], waiting: Callable[..., Any], mails: int = 20) -> None:
    for number in range(mails):
        desk.mail(mail_of(subject=f"Lamp {number}"))
    waiting(lambda: len(desk.incidents()) == mails, "all are incidents")


def overwrite(path: Path, first: int, length: int) -> bytes:
    """Damage pages of a file; all of it as it is then."""
    with path.open("rb+") as file:
        file.seek(first)
        file.write(b"\xa5" * length)
    return path.read_bytes()


def test_damage_is_found_at_the_start_and_the_file_is_left_as_it_is(
    desk: Any, mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 93: 200 bytes are wrong; 74, which the unit does not start again, and what to do."""
    filled(desk, mail_of, waiting)
    assert desk.stop() == 0
    before = overwrite(database(desk), 8192, 200)
    ended = start(desk)
    assert ended.returncode == 74
    assert all(step in ended.stderr for step in RECIPE)
    assert "Traceback" not in ended.stderr
    assert database(desk).read_bytes() == before


def test_damage_that_is_met_at_work_ends_the_daemon(
    desk: Any, mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 93: whoever meets it, doors, worker or upkeep, nothing is accepted any more and nothing goes on."""
    filled(desk, mail_of, waiting)
    processes = desk.processes()
    size = database(desk).stat().st_size
    overwrite(database(desk), 4096, size - 4096)

    def sent() -> bool:
        with suppress(OSError, smtplib.SMTPException):
            desk.mail(mail_of(subject="Too late"))
        return desk.process.poll() is not None

    waiting(sent, "it ends")
    assert desk.process.returncode == 74
    assert all(step in desk.log() for step in RECIPE)
    waiting(lambda: not any(process.is_running() for process in processes), "its workers are gone, too")


def test_a_database_that_is_gone_is_not_made_anew(
    desk: Any, mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 94: usually its disk is not mounted, and an empty desk would hide that."""
    filled(desk, mail_of, waiting, 1)
    assert desk.stop() == 0
    for path in database(desk).parent.glob("triaged.db*"):
        path.unlink()
    ended = start(desk)
    assert ended.returncode == 78
    assert "--create" in ended.stderr
    assert not database(desk).exists()


@pytest.mark.parametrize(("body", "said"), [(b"", "--create"), (b"no database at all" * 400, "something else")])
def test_a_file_that_is_empty_or_not_ours_is_refused(desk: Any, body: bytes, said: str) -> None:
    """Fault 94."""
    assert desk.stop() == 0
    for path in database(desk).parent.glob("triaged.db*"):
        path.unlink()
    database(desk).write_bytes(body)
    ended = start(desk)
    assert ended.returncode == 78
    assert said in ended.stderr
    assert database(desk).read_bytes() == body


def test_an_older_program_refuses_a_newer_database(desk: Any) -> None:
    """Fault 109: 78, both numbers, and not a byte is written."""
    assert desk.stop() == 0
    with closing(sqlite3.connect(database(desk))) as connection:
        connection.execute("UPDATE instance SET schema = 12")
        connection.commit()
    before = database(desk).read_bytes()
    ended = start(desk)
    assert ended.returncode == 78
    assert "has schema 12, this triaged expects" in ended.stderr
    assert database(desk).read_bytes() == before
