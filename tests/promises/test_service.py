"""The daemon as a service: what it tells its manager and when, given sockets, a stop under load, pauses, hangs."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import shlex
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest


class Listener(threading.Thread):
    """A service manager's socket: what it heard, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.lines = path, list[str]()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.1)
        self._over = False

    def run(self) -> None:
        while not self._over:
            with suppress(TimeoutError):
                self.lines.append(self._socket.recv(4096).decode())
        self._socket.close()

    def count(self, line: str) -> int:
        return self.lines.count(line)

    def close(self) -> None:
        self._over = True
        self.join()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "notify")
    listener.start()
    yield listener
    listener.close()


def serve(desk: Any, *, sockets: dict[str, socket.socket] | None = None, **how: Any) -> None:
    """Start the daemon of a desk as systemd would: sockets from 3 on, named, and the process id said."""
    given = sockets or {}
    command = [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(desk.config)]
    moves = " ".join(f"{3 + number}<&{one.fileno()}" for number, one in enumerate(given.values()))
    script = f"LISTEN_PID=$$ exec {shlex.join(command)} {moves}"
    environ = os.environ | how.pop("environ", {}) | {
        "LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": ":".join(given),
    }  # fmt: skip
    log = how.pop("stderr", None)
    with ExitStack() as stack:
        stderr = log if log is not None else stack.enter_context((desk.folder / "daemon.log").open("ab"))
        desk.process = subprocess.Popen(
            ["bash", "-c", script], stderr=stderr, env=environ, pass_fds=[one.fileno() for one in given.values()], **how
        )


def tcp() -> socket.socket:
    """A listening socket, with room for those who wait."""
    return socket.create_server(("127.0.0.1", 0), backlog=100)


def test_readiness_is_told_once_everything_is_open(
    new_desk: Callable[..., Any], manager: Listener, waiting: Callable[..., Any]
) -> None:
    """D11: after the schema, a write and the listeners; who is ordered after us finds the doors open."""
    desk = new_desk()
    serve(desk, environ={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "2000000"})
    waiting(lambda: manager.count("READY=1"), "it is ready")
    assert desk.get("/readyz")[0] == 200
    with smtplib.SMTP("127.0.0.1", desk.smtp, timeout=5) as client:
        assert client.noop()[0] == 250
    told = [manager.lines.index(line) for line in ("STATUS=Opens the store", "STATUS=Takes mail and alerts", "READY=1")]
    assert told == sorted(told)
    waiting(lambda: manager.count("WATCHDOG=1") > 3, "the watchdog is fed")
    assert desk.stop() == 0
    assert manager.lines.index("STOPPING=1") > manager.lines.index("READY=1")


def test_who_connects_before_it_is_there_waits_and_is_served(
    new_desk: Callable[..., Any], mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 110: over a kill, too, for the manager keeps the sockets; doors without one open their own."""
    desk = new_desk()
    with tcp() as smtp:
        sent = threading.Thread(target=send_late, args=(smtp.getsockname()[1], mail_of()))
        sent.start()
        serve(desk, sockets={"smtp": smtp})
        sent.join(30)
        waiting(desk.incidents, "the mail is an incident")
        assert desk.get("/readyz")[0] == 200
        desk.kill()
        sent = threading.Thread(target=send_late, args=(smtp.getsockname()[1], mail_of(subject="Later")))
        sent.start()
        serve(desk, sockets={"smtp": smtp})
        sent.join(30)
        waiting(lambda: len(desk.incidents()) == 2, "the second mail, too")
        assert desk.stop() == 0


def send_late(port: int, message: Any) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.send_message(message)


def test_a_socket_that_no_door_takes_ends_with_78(new_desk: Callable[..., Any]) -> None:
    desk = new_desk()
    with tcp() as odd:
        serve(desk, sockets={"gopher": odd})
        assert desk.process.wait(30) == 78
    assert "FileDescriptorName=" in desk.log()


def test_the_list_is_kept_from_others_by_the_socket_it_is_asked_at(
    new_desk: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """A unit that listens everywhere opens the webhooks, not the console that has no sign-in yet."""
    desk = new_desk()
    with socket.create_server(("0.0.0.0", 0)) as web:
        desk.web = web.getsockname()[1]
        serve(desk, sockets={"http": web})
        waiting(desk.ready, "it is ready")
        assert desk.get("/")[0] in {403, 404}
        assert desk.stop() == 0


def test_a_stop_under_load_ends_well_for_everybody(
    new_desk: Callable[..., Any], mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 102: who idles hears 421, a mail that is arriving is kept, all that was accepted is there; exit 0."""
    desk = new_desk()
    desk.start()
    idle = smtplib.SMTP("127.0.0.1", desk.smtp, timeout=30)
    halfway = smtplib.SMTP("127.0.0.1", desk.smtp, timeout=30)
    halfway.ehlo()
    for word in ("MAIL FROM:<ann@example.com>", "RCPT TO:<support@example.com>", "DATA"):
        assert halfway.docmd(word)[0] in {250, 354}
    halfway.send(b"From: ann@example.com\r\nSubject: halfway\r\n\r\nIt")
    senders = [Stream(desk, mail_of, number) for number in range(4)]
    for sender in senders:
        sender.start()
    waiting(lambda: all(sender.accepted > 5 for sender in senders), "mails flow")
    begun = time.monotonic()
    desk.process.send_signal(signal.SIGTERM)
    assert idle.getreply()[0] == 421
    halfway.send(b" is odd.\r\n.\r\n")
    assert halfway.getreply()[0] == 250
    assert desk.process.wait(60) == 0
    assert time.monotonic() - begun < 60
    idle.close()
    halfway.close()
    for sender in senders:
        sender.join(30)
    accepted = sum(sender.accepted for sender in senders) + 1
    assert accepted <= desk.rows("SELECT count(*) FROM receipts")[0] <= accepted + len(senders)


class Stream(threading.Thread):
    """Sends mail until the desk is gone."""

    def __init__(self, desk: Any, mail_of: Callable[..., Any], number: int) -> None:
        super().__init__(daemon=True)
        self.desk, self.mail_of, self.number, self.accepted = desk, mail_of, number, 0

    def run(self) -> None:
        with suppress(OSError, smtplib.SMTPException):
            while self.accepted < 10_000:
                self.desk.mail(self.mail_of(subject=f"stream {self.number}.{self.accepted}"))
                self.accepted += 1


def test_a_pause_of_all_processes_doubles_and_loses_nothing(
    desk: Any, mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 103: a laptop's sleep, a paused machine; work goes on where it stood."""
    streams = [Stream(desk, mail_of, number) for number in range(2)]
    for stream in streams:
        stream.start()
    waiting(lambda: all(stream.accepted > 3 for stream in streams), "mails flow")
    paused = desk.processes()
    for process in paused:
        process.suspend()
    time.sleep(2)  # the pause itself
    for process in paused:
        process.resume()
    before = [stream.accepted for stream in streams]
    waiting(lambda: all(s.accepted > was + 3 for s, was in zip(streams, before, strict=True)), "mails flow again")
    assert desk.stop() == 0
    for stream in streams:
        stream.join(30)
    desk.start()
    waiting(lambda: desk.rows("SELECT id FROM receipts WHERE state = 'waiting'") == [], "all is worked")
    titles = desk.rows("SELECT title FROM incidents")
    accepted = {f"stream {one.number}.{number}" for one in streams for number in range(one.accepted)}
    assert len(titles) == len(set(titles))
    assert accepted <= set(titles)


def test_a_committer_that_hangs_starves_the_watchdog(
    new_desk: Callable[..., Any], manager: Listener, mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 104: the loop still answers, and that is not enough; once the store is free it feeds again."""
    desk = new_desk()
    serve(desk, environ={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "4000000"})
    waiting(lambda: manager.count("WATCHDOG=1"), "the watchdog is fed")
    lock = desk.folder / "state" / "triaged.db.lock"
    with lock.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        late = threading.Thread(target=send_late, args=(desk.smtp, mail_of()))
        late.start()
        waiting(lambda: manager.count("STATUS=Turns senders away for now: committer_hangs"), "it is noticed")
        fed = manager.count("WATCHDOG=1")
        assert desk.get("/healthz")[0] == 200
        time.sleep(1.5)  # longer than it takes to be fed
        assert manager.count("WATCHDOG=1") == fed
    waiting(lambda: manager.count("WATCHDOG=1") > fed, "it is fed again")
    late.join(30)
    assert desk.stop() == 0


def test_an_abort_shows_where_every_thread_stands(desk: Any) -> None:
    """Fault 104: what an operator reads after the watchdog acted.

    The stacks are read while their threads run, so the reading may fault half-way; the process ends either way.
    """
    desk.process.send_signal(signal.SIGABRT)
    ended = -desk.process.wait(30)
    assert ended in (signal.SIGABRT, signal.SIGSEGV)
    assert "most recent call first" in desk.log()
    if ended == signal.SIGABRT:
        assert "committer.py" in desk.log()


def test_with_all_descriptors_taken_it_goes_on_when_some_are_free(
    new_desk: Callable[..., Any], mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Fault 111: who comes meanwhile waits, what is kept is kept, nothing ends, and the operator hears of it."""
    desk = new_desk()
    serve(desk, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    waiting(desk.ready, "it is ready")
    with ExitStack() as stack:
        early = stack.enter_context(smtplib.SMTP("127.0.0.1", desk.smtp, timeout=30))
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", desk.web), timeout=5)) for _ in range(100)]
        late = threading.Thread(target=send_late, args=(desk.smtp, mail_of(subject="Late")))
        waiting(lambda: "door.pauses" in desk.log(), "it takes nobody more")
        late.start()
        early.send_message(mail_of(subject="Early"))
        assert late.is_alive()
        assert desk.process.poll() is None
        for one in idle:
            one.close()
        late.join(30)
    waiting(lambda: len(desk.rows("SELECT id FROM incidents")) == 2, "both are incidents")
    assert re.search(r'^triaged_limit_total{kind="files"} [1-9]', desk.get("/metrics")[1], re.MULTILINE)
    assert desk.stop() == 0


@pytest.mark.parametrize("stderr", ["full", "closed"])
def test_a_log_that_nobody_takes_stops_no_mail(
    new_desk: Callable[..., Any], mail_of: Callable[..., Any], waiting: Callable[..., Any], stderr: str
) -> None:
    """Fault 112: a pipe that is full from the first line on, or no standard error at all."""
    desk = new_desk()
    with ExitStack() as stack:
        if stderr == "full":
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            stack.callback(os.close, writer)
            os.set_blocking(writer, False)
            with suppress(BlockingIOError):
                while True:
                    os.write(writer, b"\0" * 65_536)
            os.set_blocking(writer, True)
            serve(desk, stderr=writer)
        else:
            serve(desk, preexec_fn=lambda: os.close(2))
        waiting(desk.ready, "it is ready")
        for number in range(30):
            desk.mail(mail_of(subject=f"unlogged {number}"))
        waiting(lambda: len(desk.rows("SELECT id FROM incidents")) == 30, "all are incidents")
        assert desk.stop() == 0


def test_a_database_that_is_away_at_the_start_is_tried_again(new_desk: Callable[..., Any], tmp_path: Path) -> None:
    """G13: 75 and a sentence; the unit starts it again until the database is back."""
    desk = new_desk(f"postgresql://triaged@/triaged?host={tmp_path}")
    serve(desk)
    assert desk.process.wait(60) == 75
    assert "Traceback" not in desk.log()
    assert desk.log().strip()
