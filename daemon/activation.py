"""Listening sockets that the service manager opened for us, by name, as sd_listen_fds(3) has it.

It keeps them open over a restart, so that who connects meanwhile waits and is served; and it may open port 25, for
which the daemon would need a right.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress

from kit.hosts import is_loopback

#: The names that `FileDescriptorName=` may give.
DOORS = ("http", "metrics", "smtp", "lmtp")
_FIRST_FD = 3

Given = Mapping[str, Sequence[socket.socket]]


class BadSockets(Exception):
    """The service manager gave a socket that no door can use."""

    code = "activation.bad"
    permanent = True


def take_sockets(environ: MutableMapping[str, str], *, first: int = _FIRST_FD) -> Given:
    """The sockets of each door; nothing where they are meant for another process. Raises `BadSockets`.

    The environment's names are taken out, so that no child believes that they are its own. ``first`` is the lowest
    descriptor.
    """
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal() or not int(count):
        return {}
    fds = range(first, first + int(count))
    given: dict[str, list[socket.socket]] = {}
    try:
        for fd, name in zip(fds, _names(names, len(fds)), strict=True):
            given.setdefault(name, []).append(_listening(fd, name))
    except BadSockets:
        close_all(given)
        raise
    return given


def close_all(given: Given) -> None:
    """Let go of our copies; the service manager keeps its own."""
    for sockets in given.values():
        for one in sockets:
            one.close()


def loopback(sockets: Iterable[socket.socket]) -> bool:
    """Whether only this machine reaches all of them."""
    return all(one.family == socket.AF_UNIX or is_loopback(one.getsockname()[0]) for one in sockets)


def _names(text: str, count: int) -> Sequence[str]:
    names = text.split(":")
    for name in names:
        if name not in DOORS:
            raise BadSockets(
                f"The socket unit gives a socket the name {name[:40]!r}: FileDescriptorName= must be one of "
                f"{', '.join(DOORS)}."
            )
    if len(names) != count:
        raise BadSockets(f"The service manager gave {count} sockets and {len(names)} names: each needs its own.")
    return names


def _listening(fd: int, name: str) -> socket.socket:
    try:
        taken = socket.socket(fileno=fd)
        taken.set_inheritable(False)
        taken.setblocking(False)  # noqa: FBT003 - the standard library's signature
        if taken.type != socket.SOCK_STREAM or not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            taken.close()
            raise BadSockets(f"The socket for {name} does not listen: its unit needs ListenStream= and Accept=no.")
    except OSError as error:
        with suppress(OSError):
            os.close(fd)
        raise BadSockets(f"The socket for {name} cannot be used: {error.strerror}.") from error
    return taken
