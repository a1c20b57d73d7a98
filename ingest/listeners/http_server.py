"""The web server under the webhook door and the console: uvicorn on httptools, with the bounds that it has not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.listeners.http import Asgi

#: Bytes of one request's line and headers; what browsers and monitors send is a tenth of it.
MOST_HEAD_BYTES = 65_536
#: How long a request's headers may take to arrive, and how long a connection may stand idle, in seconds.
HEAD_WITHIN_SECONDS = 20
IDLE_SECONDS = 75
MOST_CONNECTIONS = 2_000
_DRAIN_SECONDS = 20


class Protocol(HttpToolsProtocol):
    """A connection whose headers are bounded, in bytes and in time."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent has it
        """Wait for the first request, not for ever."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_WITHIN_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before a request's headers are complete."""
        if self._head_timer is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        """Its headers are here."""
        self._stop_timer()
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(uvicorn.Server):
    """A server that leaves the process's signals to the daemon."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


class HttpServer:
    """A web door that is open until `close`."""

    def __init__(self, app: Asgi) -> None:
        config = uvicorn.Config(
            app, http=Protocol, ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
            date_header=False, proxy_headers=False, limit_concurrency=MOST_CONNECTIONS, backlog=2048,
            timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=_DRAIN_SECONDS,
        )  # fmt: skip
        self._server = Server(config)
        self._task: asyncio.Task[Any] | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections at ``sockets``."""
        self._task = asyncio.create_task(self._server.serve(list(sockets)))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Let nobody in, and finish the requests that are being served."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
