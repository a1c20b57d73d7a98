"""Listening sockets that somebody else opened: taken by name, or refused with a sentence."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from daemon.activation import BadSockets, Given, close_all, loopback, take_sockets

FIRST = 600  # far above what this process has open


@pytest.fixture
def given() -> Iterator[list[socket.socket]]:
    """Sockets to be put in place by `environ_of`."""
    opened: list[socket.socket] = []
    yield opened
    for one in opened:
        one.close()


def tcp(opened: list[socket.socket], host: str = "127.0.0.1") -> socket.socket:
    opened.append(socket.create_server((host, 0)))
    return opened[-1]


def environ_of(sockets: Sequence[socket.socket], names: str, pid: int | None = None) -> dict[str, str]:
    """Copies of the sockets at descriptors from FIRST on, as a service manager leaves them."""
    for number, one in enumerate(sockets):
        os.dup2(one.fileno(), FIRST + number)
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names}


def take(environ: dict[str, str]) -> Given:
    return take_sockets(environ, first=FIRST)


def test_each_door_gets_those_of_its_name(given: list[socket.socket], tmp_path: Path) -> None:
    """One name may stand for several: an address of each family."""
    tcp(given), tcp(given), tcp(given)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "lmtp.sock"))
    unix.listen()
    given.append(unix)
    environ = environ_of(given, "smtp:http:smtp:lmtp")
    taken = take(environ)
    assert {name: len(some) for name, some in taken.items()} == {"smtp": 2, "http": 1, "lmtp": 1}
    assert taken["http"][0].getsockname() == given[1].getsockname()
    assert taken["lmtp"][0].getsockname() == str(tmp_path / "lmtp.sock")
    assert not any(one.getblocking() or one.get_inheritable() for some in taken.values() for one in some)
    assert environ == {}
    close_all(taken)


def test_those_for_another_process_are_left_alone(given: list[socket.socket]) -> None:
    """A daemon started by hand inside another's environment opens its own."""
    tcp(given)
    assert take(environ_of(given, "http", pid=1)) == {}
    os.close(FIRST)


def test_without_a_manager_there_are_none() -> None:
    assert take({}) == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [("web", "'web'"), ("http:smtp", "1 sockets and 2 names"), ("", "must be one of http, metrics, smtp, lmtp")],
)
def test_a_name_that_no_door_has_is_told(given: list[socket.socket], names: str, said: str) -> None:
    tcp(given)
    with pytest.raises(BadSockets, match=said):
        take(environ_of(given, names))
    os.close(FIRST)


def test_what_does_not_listen_is_told(given: list[socket.socket]) -> None:
    given.append(socket.socket())
    with pytest.raises(BadSockets, match="ListenStream="):
        take(environ_of(given, "http"))


def test_what_is_no_socket_is_told(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    os.dup2(fd, FIRST)
    os.close(fd)
    with pytest.raises(BadSockets, match="cannot be used"):
        take({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"})


def test_what_others_can_reach_is_not_loopback(given: list[socket.socket]) -> None:
    """The list at `/` is for this machine only, by what the socket is and not by what a setting says."""
    inside, outside = tcp(given), tcp(given, "0.0.0.0")
    assert loopback([inside])
    assert not loopback([inside, outside])
