"""One connection of the mail doors: lines in, replies out, the bytes of a mail beside; and all its limits.

What aiosmtpd does otherwise: it answers a fault of its handler with a permanent 500, keeps an endless line whole,
refuses long ones, drops a mail whose sender half-closes after the dot, and has no limits by default (findings 1 to 5).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

from ingest.listeners.smtp_data import DataReader

if TYPE_CHECKING:
    from ingest.listeners.smtp_server import SmtpServer

UNTRIED = "451 4.3.0 not kept, try again later"
PATIENCE = 10_000  # what a session may cost before it must bring a mail
_COST_OF_COMMAND = 100  # a hundred commands without a mail
_COST_OF_REFUSAL = 250  # forty refusals
_HTTP_VERBS = frozenset(("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI"))
_LONGEST_COMMAND = 4096  # bytes; see rfc5321 4.5.3.1.4, which asks for 512, and extensions add to it
_MOST_EARLY_BYTES = 2_097_152  # more than one read of the loop gives before the reader stops it


class Goodbye(Exception):
    """The session ends after this reply."""


class Conversation(SMTP):
    """What is the same for every command of a session."""

    protocol = "ESMTP"
    line_length_limit = _LONGEST_COMMAND  # of commands; lines of a mail have none

    def __init__(self, server: SmtpServer) -> None:
        self.server = server
        self.settings = server.settings
        super().__init__(
            server, hostname=self.settings.hostname, ident="ready", data_size_limit=self.settings.max_size,
            enable_SMTPUTF8=True, tls_context=server.tls, timeout=self.settings.idle.total_seconds(),
            loop=asyncio.get_running_loop(),
        )  # fmt: skip
        self.busy = False  # between DATA and its reply
        self.closing = False  # ends after the present reply
        self.secure = False
        self.peer = ""
        self.patience = PATIENCE
        self._half_closed = False  # the client will say no more
        self._data: DataReader | None = None
        self._data_moved: asyncio.Future[None] | None = None
        self._held = 0  # bytes taken from the room of the door

    def connection_made(self, transport: Any) -> None:
        """Let the client in, or tell it to come back."""
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else ""
        refusal = self.server.admit(self)
        if refusal is not None:
            transport.write(f"{refusal}\r\n".encode())
            self.closing = True
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The client is gone; a commit under way goes on without it."""
        self.server.leave(self)
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """The client will say no more; it may still hear the reply to what it sent (finding 4)."""
        self._half_closed = True
        self._wake()
        self._reader.feed_eof()
        return not self.secure

    def data_received(self, data: bytes) -> None:
        """Bytes of a mail go to its reader, all others to the commands."""
        mail = self._data
        if mail is None:
            super().data_received(data)
            return
        rest = mail.feed(data)
        self._make_room(mail)
        if rest is not None:
            self._data = None
        if rest is not None or mail.hopeless:
            self._wake()
        if rest and not self._half_closed:
            super().data_received(rest)

    def _make_room(self, mail: DataReader) -> None:
        """Bound the bytes that all connections hold; a mail that finds no room is dropped as it comes."""
        grown = mail.held - self._held
        if grown > 0 and not self.server.room.take(grown):
            mail.drop()
            grown = -self._held
        if grown < 0:
            self.server.room.give(-grown)
        self._held += grown

    def _timeout_cb(self) -> None:
        """Nothing came for too long."""
        if self.transport is not None:
            self.server.meter.count("limit_total", kind="smtp_idle")
            self.hang_up("421 4.4.2 idle for too long")

    def hang_up(self, reply: str) -> None:
        """Say why and close, without waiting for the client."""
        if self.transport is not None:
            self._writer.write(f"{reply}\r\n".encode())
            self.transport.close()

    async def _handle_client(self) -> None:
        try:
            if not self.closing:
                await self.push(f"220 {self.hostname} {self.protocol} {self.__ident__}")
            while self.transport is not None and not self.closing:
                await self._obey(await self.command_line())
        except Goodbye as goodbye:
            self.hang_up(str(goodbye))
        except (OSError, EOFError):
            pass  # the client left
        finally:
            if self.transport is not None:
                self.transport.close()

    async def command_line(self) -> bytes:
        """What the client says next."""
        try:
            return (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
        except asyncio.LimitOverrunError:
            self.server.meter.count("limit_total", kind="smtp_command")
            raise Goodbye("421 4.7.0 line too long") from None

    async def _obey(self, line: bytes) -> None:
        """One command, one reply; an error of ours is never the mail's fault (finding 1)."""
        self._reset_timeout()
        word, _, rest = line.partition(b" ")
        command = word.decode("ascii", "replace").upper()
        if command in _HTTP_VERBS:
            self.server.meter.count("limit_total", kind="http_verb")
            raise Goodbye("421 4.7.0 this is a mail server")
        try:
            await self._run(command, rest)
        except (Goodbye, OSError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - a permanent reply would bounce the mail
            self.server.report(error)
            await self.push(UNTRIED)
        if self.patience <= 0:
            self.server.meter.count("limit_total", kind="smtp_budget")
            raise Goodbye("421 4.7.0 too many commands or errors")

    async def _run(self, command: str, rest: bytes) -> None:
        method = self._smtp_methods.get(command)
        if method is None:
            await self.push("500 5.5.2 unknown command")
            return
        try:
            argument = rest.decode().strip()
        except UnicodeDecodeError:
            await self.push("501 5.5.2 not UTF-8")
            return
        if command not in ("MAIL", "RCPT", "DATA", "QUIT"):
            self.patience -= _COST_OF_COMMAND
        await method(argument or None)

    async def push(self, status: str | bytes) -> None:
        """Send a reply; refusals use up patience."""
        text = status if isinstance(status, str) else status.decode("utf-8", "replace")
        if text[:1] == "5":
            self.patience -= _COST_OF_REFUSAL
        self._writer.write(f"{text}\r\n".encode("utf-8", "replace"))
        await self._writer.drain()

    async def collect(self, mail: DataReader) -> None:
        """Read until the mail has ended, the client has left, or it is too slow or too big for more."""
        moved = self._data_moved = self.loop.create_future()
        early = await self._early_bytes()
        self._data = mail
        self.data_received(early)
        await self.push("354 go ahead, end with a dot on a line of its own")
        give_up_at = self.loop.time() + self.settings.data_within.total_seconds()
        window = self.settings.slow_for.total_seconds()
        least = self.settings.slowest * window
        while not moved.done() and not self._half_closed:
            seen = mail.size
            await asyncio.wait((moved,), timeout=window)
            if not moved.done() and (mail.size - seen < least or self.loop.time() > give_up_at):
                self.server.meter.count("limit_total", kind="smtp_slow")
                raise Goodbye("421 4.4.2 the mail arrives too slowly")

    async def _early_bytes(self) -> bytes:
        """What the client sent before it was asked to: the byte put behind it keeps the read from waiting."""
        if self._half_closed:
            return await self._reader.read()
        self._reader.feed_data(b"\n")
        return (await self._reader.read(_MOST_EARLY_BYTES))[:-1]

    def release(self) -> None:
        """The mail is dealt with: its bytes make room for others."""
        self._data = None
        self.server.room.give(self._held)
        self._held = 0

    def _wake(self) -> None:
        if self._data_moved is not None and not self._data_moved.done():
            self._data_moved.set_result(None)
