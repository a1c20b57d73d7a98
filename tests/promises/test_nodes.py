"""Two daemons on one PostgreSQL: they share what is to be done, and the living take over from the dead."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from daemon.clock import utc_now
from ledger.sink import Sink
from store.claims import Lease, claim_receipts
from store.engine import Store, open_store

#: Within which a dead node's work is taken over (fault 100), in seconds, with room for a slow machine in what follows.
TAKEN_OVER = 30.0
GROUPS, EACH = 30, 20


@pytest.fixture
def sink() -> Iterator[Sink]:
    opened = Sink(seed=1, trouble=False)
    yield opened
    opened.close()


@pytest.fixture
def pair(new_desk: Callable[..., Any], empty_postgresql_url: str, sink: Sink) -> tuple[Any, Any]:
    """Two desks on one database, not yet started, that take the same tokens and page nobody for a mail."""
    relay = f"smtp://127.0.0.1:{sink.port}?tls=none"
    one, two = new_desk(empty_postgresql_url, relay), new_desk(empty_postgresql_url, relay)
    for name in ("prometheus", "pager"):
        (two.folder / "secrets" / f"{name}.token").write_text(one.token(name))
    for desk in (one, two):
        path = desk.folder / "policy" / "escalation.yml"
        path.write_text(path.read_text().replace("path: quiet}", "path: none}"))
    return one, two


def alerts(first: int, count: int) -> dict[str, Any]:
    items = [
        {"status": "firing", "labels": {"alertname": "Odd", "n": str(one), "severity": "info"},
         "annotations": {"summary": f"alert {one}"}, "startsAt": "2026-01-05T08:00:00Z",
         "endsAt": "0001-01-01T00:00:00Z", "fingerprint": f"{one:016x}"}
        for one in range(first, first + count)
    ]  # fmt: skip
    return {"version": "4", "groupKey": "{}", "status": "firing", "alerts": items}


def idle(desk: Any) -> bool:
    left = desk.rows("SELECT COUNT(*) FROM receipts WHERE state = 'waiting'")
    return [*left, *desk.rows("SELECT COUNT(*) FROM outbox WHERE next_at IS NOT NULL")] == [0, 0]


def kill_all(desk: Any) -> None:
    """As when its host loses power."""
    for process in desk.processes():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    desk.process.wait()


def whole(desk: Any, titles: set[str]) -> None:
    """Everything is there once, and the desk's own proofs agree."""
    assert sorted(desk.rows("SELECT title FROM incidents")) == sorted(titles)
    assert desk.rows("SELECT id FROM receipts WHERE state = 'quarantined'") == []
    assert desk.ctl("signal", "reconcile")["differences"] == []
    assert desk.ctl("audit", "verify")["first_broken"] is None


def test_a_node_that_is_killed_is_taken_over_and_nothing_is_doubled(
    pair: tuple[Any, Any], sink: Sink, waiting: Callable[..., Any], mail_of: Callable[..., Any]
) -> None:
    """Fault 100: receipts, timers and mails that a dead node had are the other's in less than 30 seconds."""
    one, two = pair
    one.start()
    two.start()
    for group in range(GROUPS):
        (one, two)[group % 2].post("prometheus", alerts(group * EACH, EACH))
    for number in range(40):
        (one, two)[number % 2].mail(mail_of(f"p{number}@example.com", f"mail {number}"))
    kill_all(one)
    killed_at = time.monotonic()
    waiting(lambda: idle(two), "the other has done everything", TAKEN_OVER + 10)
    assert time.monotonic() - killed_at < TAKEN_OVER
    whole(two, {f"alert {n}" for n in range(GROUPS * EACH)} | {f"mail {n}" for n in range(40)})
    by_id: dict[str, set[bytes]] = {}
    for mail in sink.mails():
        by_id.setdefault(mail.message_id, set()).add(mail.digest)
    assert set(by_id) == set(two.rows("SELECT message_id FROM outbox WHERE state = 'delivered'"))
    assert all(len(digests) == 1 for digests in by_id.values())
    assert two.stop() == 0


def test_what_a_node_held_when_it_died_is_put_back(pair: tuple[Any, Any], waiting: Callable[..., Any]) -> None:
    """Fault 100: a lease of a minute does not last when its node is silent for 15 seconds."""
    one, two = pair
    one.start()
    owner = held_by_worker_of(one, alerts(0, EACH))
    kill_all(one)
    two.start()
    begun = time.monotonic()
    waiting(lambda: idle(two), "the other has done everything", TAKEN_OVER + 10)
    assert time.monotonic() - begun < TAKEN_OVER
    assert "node.taken_over" in two.log()
    assert owner in two.log()
    whole(two, {f"alert {n}" for n in range(EACH)})


def held_by_worker_of(desk: Any, payload: dict[str, Any]) -> str:
    """Have a worker that stands still hold a receipt; the owner. A claim in its name stands for what it would do."""
    [node] = desk.rows("SELECT name FROM nodes")
    owner = f"{node}.1.1"
    for process in desk.processes()[1:]:
        process.send_signal(signal.SIGSTOP)
    desk.post("prometheus", payload)
    store = open_store(desk.store_url)
    try:
        _claim(store, owner)
    finally:
        store.close()
    return owner


def _claim(store: Store, owner: str) -> None:
    with store.writing() as connection:
        assert claim_receipts(connection, Lease(owner, utc_now(), timedelta(seconds=60)), 10)


def test_a_node_that_stood_still_beyond_its_lease_neither_doubles_nor_loses(
    pair: tuple[Any, Any], sink: Sink, waiting: Callable[..., Any], mail_of: Callable[..., Any]
) -> None:
    """Fault 103: it wakes, finds its work in other hands, and goes on with the next."""
    one, two = pair
    one.start()
    two.start()
    for number in range(60):
        (one, two)[number % 2].mail(mail_of(f"p{number}@example.com", f"mail {number}"))
    stopped = one.processes()
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    waiting(lambda: idle(two), "the other has done everything", TAKEN_OVER + 10)
    for process in stopped:
        process.send_signal(signal.SIGCONT)
    one.mail(mail_of("late@example.com", "mail late"))
    waiting(lambda: idle(two), "the late one is done")
    whole(two, {f"mail {n}" for n in (*range(60), "late")})
    handed = [mail.message_id for mail in sink.mails()]
    assert set(handed) == set(two.rows("SELECT message_id FROM outbox WHERE state = 'delivered'"))
    assert len({(mail.message_id, mail.digest) for mail in sink.mails()}) == len(set(handed))


def test_parts_of_a_desk_run_on_nodes_of_their_own(
    pair: tuple[Any, Any], sink: Sink, waiting: Callable[..., Any], mail_of: Callable[..., Any]
) -> None:
    """`--role`: one node takes mail in and shows pages, the other works and delivers."""
    doors, back = pair
    with back.config.open("a") as file:
        file.write(f"metrics: {{listen: 127.0.0.1:{back.web}}}\n")  # the only thing that it listens at
    start_as(doors, "ingest,web")
    doors.mail(mail_of("ann@example.com", "mail 0"))
    time.sleep(2)  # nothing must come: there is no event to wait for
    assert doors.rows("SELECT title FROM incidents") == []
    start_as(back, "work,deliver")
    waiting(lambda: idle(doors) and sink.mails(), "it is worked and told")
    assert doors.rows("SELECT title FROM incidents") == ["mail 0"]
    assert doors.get("/")[0] == 200
    assert back.get("/")[0] == 404
    assert back.get("/readyz")[0] == 200
    with pytest.raises(OSError, match="refused"):
        back.mail(mail_of("ann@example.com", "mail 1"))
    assert [len(desk.processes()) for desk in (doors, back)] == [1, 3]
    assert [doors.stop(), back.stop()] == [0, 0]


def start_as(desk: Any, roles: str) -> None:
    with (desk.folder / "daemon.log").open("ab") as log:
        desk.process = subprocess.Popen([*command(desk), "--role", roles], stderr=log)
    until = time.monotonic() + 30
    while not desk.ready():
        assert time.monotonic() < until
        time.sleep(0.05)


def command(desk: Any) -> list[str]:
    return [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(desk.config)]


@pytest.mark.parametrize(
    ("role", "said"), [("work", "on SQLite one daemon does everything"), ("wrok", "no role 'wrok'")]
)
def test_roles_that_cannot_be_are_told(new_desk: Callable[..., Any], role: str, said: str) -> None:
    ended = subprocess.run(
        [*command(new_desk()), "--role", role], capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 78
    assert said in ended.stderr


def test_a_second_daemon_on_a_sqlite_file_is_refused_whatever_its_state_folder(
    desk: Any, new_desk: Callable[..., Any]
) -> None:
    """Fault 99: the file is the desk, and the folder only beside it."""
    other = new_desk(desk.store_url)
    ended = subprocess.run(command(other), capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 75
    assert f"locked by pid {desk.process.pid}" in ended.stderr


def test_two_workers_of_one_node_share_the_work(
    new_desk: Callable[..., Any], empty_postgresql_url: str, waiting: Callable[..., Any], tmp_path: Path
) -> None:
    """`workers: 2` on PostgreSQL: each takes turns, and none takes what the other has."""
    desk = new_desk(empty_postgresql_url, f"maildir:{tmp_path / 'mail'}")
    with desk.config.open("a") as file:
        file.write("workers: 2\n")
    desk.start()
    for group in range(GROUPS):
        desk.post("prometheus", alerts(group * EACH, EACH))
    waiting(lambda: idle(desk), "both together have done everything", 60)
    workers = psutil.Process(desk.process.pid).children()
    assert len(workers) == 2
    for number, worker in enumerate(workers):  # while one stands still, the other does it all
        worker.send_signal(signal.SIGSTOP)
        desk.post("prometheus", alerts((GROUPS + number) * EACH, EACH))
        waiting(lambda: idle(desk), "the other has done it")
        worker.send_signal(signal.SIGCONT)
    whole(desk, {f"alert {n}" for n in range((GROUPS + 2) * EACH)})
