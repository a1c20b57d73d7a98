"""Taking connections at a listening socket, and waiting where the process may open no more files (fault 111).

The event loop's own way hangs up on whoever comes then, and closes the door for good when it finds no file for that.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
from collections.abc import Callable, Sequence

from ingest.listeners.bounds import Meter

#: Files that are left to the store, the logs and the worker, which hold up more than one client.
SPARE = 16
#: How long nobody is taken then; clients wait in the socket's queue, in seconds.
PAUSE_SECONDS = 1.0
#: Clients that are taken before the loop does something else.
_AT_ONCE = 8
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_LOG = logging.getLogger(__name__)


class Acceptor:
    """Hands every client of ``sockets`` to a protocol that ``make`` makes, from `start` to `close`.

    ``files`` is how many may be open; None is what this process may open.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], make: Callable[[], asyncio.Protocol], *, meter: Meter,
        files: int | None = None,
    ) -> None:  # fmt: skip
        self._sockets, self._make, self._meter = list(sockets), make, meter
        self._loop = asyncio.get_running_loop()
        self._most = (files or resource.getrlimit(resource.RLIMIT_NOFILE)[0]) - SPARE
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._handing: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Let clients in."""
        for listening in self._sockets:
            listening.settimeout(0)
            self._loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        """Let nobody in any more."""
        while self._sockets:
            listening = self._sockets.pop()
            self._loop.remove_reader(listening)
            listening.close()
        for timer in self._paused.values():
            timer.cancel()

    def _accept(self, listening: socket.socket) -> None:
        try:
            self._require_files(listening)
            for _ in range(_AT_ONCE):
                connection, _ = listening.accept()
                task = self._loop.create_task(self._hand_on(connection))
                self._handing.add(task)
                task.add_done_callback(self._handing.discard)
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._pause(listening, error)

    def _require_files(self, listening: socket.socket) -> None:
        """The kernel gives the lowest number that is free, so a high one says that few are. Raises OSError."""
        number = os.dup(listening.fileno())
        os.close(number)
        if number >= self._most:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        self._meter.count("limit_total", kind="files")
        _LOG.error("door.pauses", extra={"error": error.strerror, "seconds": PAUSE_SECONDS})
        self._loop.remove_reader(listening)
        self._paused[listening] = self._loop.call_later(PAUSE_SECONDS, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        del self._paused[listening]
        self._loop.add_reader(listening, self._accept, listening)

    async def _hand_on(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError:  # it is gone already
            connection.close()
