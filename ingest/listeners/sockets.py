"""Listening sockets, made here so that a door takes those of systemd just the same."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

_BACKLOG = 1024


class BadListen(Exception):
    """The setting `listen` needs an address and a port, such as 127.0.0.1:8080."""

    code = "listen.bad"
    permanent = True

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no place to listen at: expected an address and a port, such as 127.0.0.1:8080.")


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of a setting `listen`. Raises `BadListen`.

    >>> split_listen("[::1]:8025")
    ('::1', 8025)
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - highest port
        raise BadListen(text)
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind(listen: str) -> list[socket.socket]:
    """Listening sockets for every address that ``listen`` names. Raises `BadListen`, OSError."""
    host, port = split_listen(listen)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            bound.append(_bound(family, address))
    except OSError:
        for made in bound:
            made.close()
        raise
    return bound


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at ``path``, for this user and group; the one of a process that died is taken over."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            if path.is_socket():
                path.unlink()
        made.bind(str(path))
        path.chmod(0o660)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    made.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return made


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError:
        made.close()
        raise
    made.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return made
