"""From a running desk's backup to a desk that works on, on both databases. Guarantee G13."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _triaged(desk: Any, *words: str) -> str:
    command = [sys.executable, "-m", "daemon.commands.triaged", *words, "-c", str(desk.config)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(params=["sqlite", "postgresql"])
def lost(request: pytest.FixtureRequest, new_desk: Callable[..., Any]) -> Any:
    """A desk that runs, and that will lose its store."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    desk = new_desk(url)
    desk.start()
    return desk


def test_a_desk_is_restored_elsewhere_and_tells_nobody_until_it_is_let(
    lost: Any, new_desk: Callable[..., Any], mail_of: Callable[..., Any], waiting: Callable[..., Any], tmp_path: Path
) -> None:
    """The backup is taken while the desk runs; the new one takes mail at once, and answers when it may."""
    lost.mail(mail_of())
    waiting(lost.incidents, "the mail is a record")
    waiting(lambda: lost.sent("ann@example.com"), "it was acknowledged")
    _triaged(lost, "backup", str(tmp_path / "b.db"))
    lost.kill()

    found = new_desk()
    shutil.copytree(lost.folder / "secrets", found.folder / "secrets", dirs_exist_ok=True)
    assert "Deliveries are held" in _triaged(found, "restore", str(tmp_path / "b.db"))
    found.start()
    assert [one["title"] for one in found.incidents()] == ["My screen is dark"]
    found.mail(mail_of(sender="bob@example.com", subject="So is mine"))
    waiting(lambda: len(found.incidents()) == 2, "the restored desk works")
    waiting(lambda: _states(found, "bob@example.com") == ["ready"], "the answer is composed")
    assert found.sent("bob@example.com") == []
    waiting(lambda: "triaged_outbox_held 1.0" in found.get("/metrics")[1], "the hold is seen by monitors")
    assert found.ctl("outbox", "list")["held"]["reason"] == "restored"
    found.ctl("outbox", "release")
    waiting(lambda: found.sent("bob@example.com"), "the answer goes out")
    assert found.ctl("audit", "verify")["first_broken"] is None
    assert found.ctl("signal", "reconcile")["differences"] == []


def _states(desk: Any, address: str) -> list[str]:
    items = desk.ctl("outbox", "list", "--all")["items"]
    return [one["state"] for one in items if one["recipient"]["address"] == address]


def test_a_copy_that_wakes_on_a_strange_host_tells_nobody(
    new_desk: Callable[..., Any], mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """A disk image, started elsewhere a day later: both would tell people, so the copy waits for a person."""
    desk = new_desk()
    desk.start()
    desk.stop()
    _change(desk, "UPDATE nodes SET name = 'elsewhere-1a2b3c', alive_at = alive_at - 86400000000")
    desk.start()
    desk.mail(mail_of())
    waiting(lambda: _states(desk, "ann@example.com") == ["ready"], "the answer is composed")
    assert desk.ctl("outbox", "list")["held"]["reason"] == "strange_host"
    assert "outbox.held" in desk.log()
    assert desk.sent("ann@example.com") == []


def _change(desk: Any, statement: str) -> None:
    from store.engine import open_store  # noqa: PLC0415 - only here

    store = open_store(desk.store_url)
    with store.writing() as connection:
        connection.exec_driver_sql(statement)
    store.close()
