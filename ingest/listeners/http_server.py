"""The web server under the webhook door and the console: uvicorn on httptools, with the bounds that it has not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ingest.listeners.accepting import Acceptor
from ingest.listeners.bounds import Meter
from ingest.listeners.http import Asgi, Problem


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """What a web connection may cost."""

    head_size: int = 131_072
    """Bytes of a request that are no body: its headers, and what frames chunks. Browsers and monitors send a tenth."""
    request_within: timedelta = timedelta(seconds=30)
    """How long one request may take to arrive, headers and body, and a new connection to send its first."""
    idle: timedelta = timedelta(seconds=75)
    """How long a connection may stand idle between requests: longer than Prometheus and its like pause."""
    unread_for: timedelta = timedelta(seconds=30)
    """How long an answer may wait for its client to read on; a slow line takes a part of it in less."""
    connections: int = 2_000
    """Open connections in all."""
    drain: timedelta = timedelta(seconds=20)
    """How long a stopping server waits for requests that are being served."""


class Gathering(asyncio.Transport):
    """What is written in one round of the loop leaves by one system call: the head of an answer with its body.

    Closed, it waits ``unread_for`` seconds for what was not read.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, unread_for: float) -> None:
        super().__init__()
        self._transport, self._loop, self._unread_for = transport, loop, unread_for
        self._parts: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data`` before the loop waits again."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()

    def close(self) -> None:
        """Send what is left, then close."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(self._unread_for, self._transport.abort)

    def abort(self) -> None:
        """Close at once, whatever was not read."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more until told so."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()


class Protocol(HttpToolsProtocol):
    """A connection whose requests are bounded, in bytes that are no body and in time."""

    def __init__(self, *, bounds: HttpBounds, meter: Meter, **given: Any) -> None:
        super().__init__(**given)
        self._bounds, self._meter = bounds, meter
        self._loose = 0  # bytes of this request that are no body
        self._whole = True
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent has it
        """Wait for the first request, not for ever."""
        super().connection_made(Gathering(transport, self.loop, self._bounds.unread_for.total_seconds()))
        if len(self.connections) > self._bounds.connections:
            self._meter.count("limit_total", kind="http_connections")
            self._refuse(Problem(503, "busy", "Too many connections now; send it again.", retry=True))
            return
        self._timer = self.loop.call_later(self._bounds.request_within.total_seconds(), self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_timer()
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Only a request that does not come in one piece costs a timer."""
        self._loose += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._loose > self._bounds.head_size:
            self._meter.count("limit_total", kind="http_head")
            self._refuse(Problem(400, "malformed", "The headers are too large."))
        elif self._whole:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._bounds.request_within.total_seconds(), self._too_slow)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of what follows a body nothing is read."""
        if self.cycle is None or self.scope is not self.cycle.scope:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """What is body is the application's to bound."""
        self._loose -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        super().on_message_complete()
        self._whole = True
        self._loose = 0

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's words are for its developers
        """The bytes are no HTTP."""
        self._meter.count("limit_total", kind="http_malformed")
        self._refuse(Problem(400, "malformed", "This is no valid HTTP request."))

    def pause_writing(self) -> None:
        """The client does not read: it is waited for, and not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._bounds.unread_for.total_seconds(), self._give_up)

    def resume_writing(self) -> None:
        """The client reads on."""
        self._read_on()
        super().resume_writing()

    def _read_on(self) -> None:
        if self._unread is not None:
            self._unread.cancel()

    def _give_up(self) -> None:
        self._meter.count("limit_total", kind="http_unread")
        self.transport.abort()

    def _too_slow(self) -> None:
        self._meter.count("limit_total", kind="http_slow")
        if self._whole:  # of a request that never began
            self.transport.close()
        else:
            self._refuse(Problem(408, "timeout", "The request took too long to arrive."))

    def _refuse(self, problem: Problem) -> None:
        """The last answer of this connection, unless the application has begun one; it gives none after this."""
        cycle = self.cycle
        begun = cycle is not None and cycle.response_started and not cycle.response_complete
        if not begun:
            body = problem.body()
            head = b"content-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
            retry = b"retry-after: 5\r\n" if problem.retry else b""
            self.transport.write(STATUS_LINE[problem.status] + head + retry + b"\r\n" + body)
        self.transport.close()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """A server that leaves the process's signals to the daemon."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


class HttpServer:
    """A web door that is open until `close`."""

    def __init__(self, app: Asgi, *, meter: Meter, bounds: HttpBounds = HttpBounds()) -> None:
        protocol: Any = partial(Protocol, bounds=bounds, meter=meter)
        config = uvicorn.Config(
            app, http=protocol, ws="none", lifespan="off", access_log=False, log_config=None, server_header=False,
            date_header=False, proxy_headers=False, backlog=2048,
            timeout_keep_alive=int(bounds.idle.total_seconds()),
            timeout_graceful_shutdown=int(bounds.drain.total_seconds()),
        )  # fmt: skip
        self._server = Server(config)
        self._meter = meter
        self._acceptor: Acceptor | None = None
        self._task: asyncio.Task[Any] | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections at ``sockets``."""
        self._task = asyncio.create_task(self._server.serve([]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()
        self._acceptor = Acceptor(sockets, self._connection, meter=self._meter)
        self._acceptor.start()

    def _connection(self) -> asyncio.Protocol:
        """What serves one client, as the server makes it for sockets that it accepts at itself."""
        server = self._server
        made: asyncio.Protocol = server.config.http_protocol_class(  # type: ignore[call-arg]
            config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        return made

    async def close(self) -> None:
        """Let nobody in, and finish the requests that are being served."""
        if self._acceptor is not None:
            self._acceptor.close()
        self._server.should_exit = True
        if self._task is not None:
            await self._task
