"""What the service manager hears, over a real socket, and when it hears nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.health import Health
from daemon.notify import Manager
from daemon.watch import Watch


class Heard:
    """The other end of a manager's socket."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(0)

    def all(self) -> list[str]:
        """What came since the last look; a datagram on one machine is there when it is sent."""
        lines: list[str] = []
        try:
            while True:
                lines.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return lines


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    other_end = Heard(str(tmp_path / "notify"))
    yield other_end
    other_end.socket.close()


@pytest.fixture
def manager(heard: Heard) -> Manager:
    return Manager(heard.socket.getsockname(), watchdog=60.0)


def test_it_is_told_by_datagrams(heard: Heard, manager: Manager) -> None:
    manager.status("Opens the store")
    manager.ready()
    manager.alive()
    manager.stopping()
    assert heard.all() == ["STATUS=Opens the store", "READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_a_status_is_one_line_of_bounded_length(heard: Heard, manager: Manager) -> None:
    """Otherwise a text with line breaks could say READY=1 by itself."""
    manager.status("a\nREADY=1\n" + "b" * 500)
    (line,) = heard.all()
    assert line.startswith("STATUS=a READY=1 bbb")
    assert "\n" not in line
    assert len(line) < 250


def test_an_abstract_socket_works_too() -> None:
    name = f"triaged-test-{os.getpid()}"
    other_end = Heard(f"\0{name}")
    Manager(f"@{name}").ready()
    assert other_end.all() == ["READY=1"]
    other_end.socket.close()


def test_a_manager_that_is_away_or_absent_holds_nobody_up(tmp_path: Path) -> None:
    Manager(str(tmp_path / "nobody")).ready()
    Manager().ready()


def test_the_environment_is_read_once_and_emptied() -> None:
    """So that no worker speaks for the daemon."""
    environ = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    assert Manager.found(environ) == Manager("/run/n", 60.0)
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    "given",
    [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}, {}],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(given: dict[str, str]) -> None:
    assert Manager.found({"NOTIFY_SOCKET": "/run/n", **given}).watchdog is None


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1"])
def test_an_address_that_is_none_is_nobody(address: str) -> None:
    assert Manager.found({"NOTIFY_SOCKET": address}) == Manager()


class Standing:
    """A committer's heartbeat, a clock and a health, set by the test."""

    def __init__(self, manager: Manager) -> None:
        self.now = self.beat = 1000.0
        self.health = Health()
        self.watch = Watch(manager, alive_at=lambda: self.beat, health=lambda: self.health, clock=lambda: self.now)

    def look(self) -> float:
        return asyncio.run(self.watch.look())


def test_the_watchdog_is_fed_while_the_committer_beats(heard: Heard, manager: Manager) -> None:
    """Fault 104: several times in each period."""
    standing = Standing(manager)
    assert standing.look() <= 60.0 / 4
    assert heard.all() == ["WATCHDOG=1", "STATUS=Takes mail and alerts"]
    standing.look()
    assert heard.all() == ["WATCHDOG=1"]


def test_a_committer_that_hangs_starves_it(heard: Heard, manager: Manager) -> None:
    """Fault 104: a loop that moves is not enough, for nothing is kept without the committer."""
    standing = Standing(manager)
    standing.look()
    heard.all()
    standing.now += 31
    standing.look()
    assert heard.all() == ["STATUS=Turns senders away for now: committer_hangs"]
    standing.beat = standing.now
    standing.look()
    assert heard.all() == ["WATCHDOG=1", "STATUS=Takes mail and alerts"]


def test_a_store_that_is_down_is_told_and_no_reason_to_be_restarted(heard: Heard, manager: Manager) -> None:
    standing = Standing(manager)
    standing.health = Health(("store_down",))
    standing.look()
    assert heard.all() == ["WATCHDOG=1", "STATUS=Turns senders away for now: store_down"]
