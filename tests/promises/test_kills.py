"""Accepted means kept: the daemon and each of its processes are killed with -9 while people and monitors send.

Senders do what senders do: what was not accepted is sent again. In the end everything that was accepted is there
once, nothing innocent is in quarantine, and the desk's own proofs agree.
"""

from __future__ import annotations

import random
import signal
import smtplib
import threading
import time
import urllib.error
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import psutil
import pytest

from store.engine import open_store

MAILS, ALERTS, KILLS = 800, 1200, 9
PATIENCE = 90.0


class Sender(threading.Thread):
    """Sends numbered things until each was accepted, in order."""

    def __init__(self, send: Callable[[int], None], count: int) -> None:
        super().__init__(daemon=True)
        self.send, self.count = send, count
        self.accepted = 0
        self.again = 0

    def run(self) -> None:
        until = time.monotonic() + PATIENCE
        while self.accepted < self.count and time.monotonic() < until:
            try:
                self.send(self.accepted)
            except (OSError, smtplib.SMTPException, urllib.error.URLError):
                self.again += 1
                time.sleep(0.02)
            else:
                self.accepted += 1


def mails(desk: Any) -> Callable[[int], None]:
    def send(number: int) -> None:
        message = EmailMessage()
        message["From"] = f"Person {number} <p{number}@example.com>"
        message["To"] = "support@example.com"
        message["Subject"] = f"mail {number}"
        message["Message-ID"] = f"<kill.{number}@mail.example.com>"
        message.set_content("It is odd.\n")
        desk.mail(message)

    return send


def alerts(desk: Any) -> Callable[[int], None]:
    start = datetime.now(UTC).isoformat()

    def send(number: int) -> None:
        items = [
            {"status": "firing", "labels": {"alertname": "Odd", "n": str(one)},
             "annotations": {"summary": f"alert {one}"}, "startsAt": start, "endsAt": "0001-01-01T00:00:00Z",
             "fingerprint": f"{one:016x}"}
            for one in range(number * 4, number * 4 + 4)
        ]  # fmt: skip
        desk.post("prometheus", {"version": "4", "groupKey": "{}", "status": "firing", "alerts": items})

    return send


def kill_one(desk: Any, chance: random.Random) -> str:
    """Kill one of the daemon's processes; start the daemon again when it was its own."""
    victims = desk.processes()
    victim = chance.choice(victims)
    with suppress(psutil.NoSuchProcess):
        victim.send_signal(signal.SIGKILL)
    if victim.pid == desk.process.pid:
        desk.process.wait()
        desk.start()
        return "daemon"
    return "child"


@pytest.fixture(params=["sqlite", "postgresql"])
def killable(request: pytest.FixtureRequest, new_desk: Callable[..., Any]) -> Any:
    url = None if request.param == "sqlite" else request.getfixturevalue("empty_postgresql_url")
    desk = new_desk(url)
    desk.start()
    return desk


def test_nothing_accepted_is_lost_or_doubled_by_kills(killable: Any, waiting: Callable[..., Any]) -> None:
    """Faults 24, 101, 113 and guarantees G1, G3, G4, on SQLite and on PostgreSQL."""
    chance = random.Random(7)
    senders = [Sender(mails(killable), MAILS), Sender(alerts(killable), ALERTS // 4)]
    for sender in senders:
        sender.start()
    killed: list[str] = []
    while any(sender.is_alive() for sender in senders) or len(killed) < KILLS:
        time.sleep(chance.uniform(0.1, 0.6))
        if len(killed) < KILLS:
            killed.append(kill_one(killable, chance))
    for sender in senders:
        sender.join(PATIENCE)
        assert sender.accepted == sender.count
    assert {"daemon", "child"} <= set(killed)
    waiting(lambda: idle(killable), "everything is worked", PATIENCE)
    expected = {f"mail {number}" for number in range(MAILS)} | {f"alert {number}" for number in range(ALERTS)}
    titles = rows(killable, "SELECT title FROM incidents")
    assert sorted(titles) == sorted(expected)
    assert rows(killable, "SELECT id FROM receipts WHERE state = 'quarantined'") == []
    assert killable.ctl("signal", "reconcile")["differences"] == []
    assert killable.ctl("audit", "verify")["first_broken"] is None


def idle(desk: Any) -> bool:
    return rows(desk, "SELECT id FROM receipts WHERE state = 'waiting'") == []


def rows(desk: Any, query: str) -> list[Any]:
    store = open_store(desk.store_url)
    try:
        with store.reading() as connection:
            return list(connection.exec_driver_sql(query).scalars())
    finally:
        store.close()
