"""The mail door: SMTP on aiosmtpd, with its own way of reading mail, and limits on all that a stranger can ask for.

A 250 after DATA means that the mail is committed; whatever goes wrong on our side is a 4xx, so that the sender tries
again. Nothing of the mail is parsed here. What the library does otherwise, and why that would lose or leak, stands in
docs/sources.md under findings 1 to 5.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

from desk.receive import Kept, NotKept, Receipt, mail_receipt_key
from ingest.listeners.smtp_auth import Rejected, ask_credentials
from ingest.listeners.smtp_data import DataReader, has_bare_line_ends
from ingest.listeners.smtp_paths import fault_of_mail, read_path
from kit.addresses import parse_address
from kit.text import header_text

if TYPE_CHECKING:
    from ingest.listeners.smtp_server import SmtpServer

_HTTP_VERBS = frozenset(("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI"))
_LONGEST_COMMAND = 4096  # bytes; rfc5321 asks for 512, extensions add to it
_PATIENCE = 10_000  # what a session may cost before it must bring a mail
_COST_OF_COMMAND = 100  # a hundred commands without a mail
_COST_OF_REFUSAL = 250  # forty refusals
_COST_OF_EXTRA_RECIPIENT = 1  # a mailing list of thousands may be told 452 for each
_AUTH_TRIES = 3
_HASH_IN_THREAD = 1_048_576  # bytes from which making the key would hold up the loop
_MOST_EARLY_BYTES = 2_097_152  # more than one read of the loop gives before the reader stops it
_LINGER_SECONDS = 1
_UNTRIED = "451 4.3.0 not kept, try again later"


class Goodbye(Exception):
    """The session ends after this reply."""


class Session(SMTP):
    """One connection, from the banner to QUIT."""

    greeting = "EHLO"
    protocol = "ESMTP"
    source = "smtp"
    line_length_limit = _LONGEST_COMMAND  # of commands; lines of a mail have none

    def __init__(self, server: SmtpServer) -> None:
        self.server = server
        self.settings = server.settings
        super().__init__(
            server, hostname=self.settings.hostname, ident="ready", data_size_limit=self.settings.max_size,
            enable_SMTPUTF8=True, tls_context=server.tls, timeout=self.settings.idle.total_seconds(),
            loop=asyncio.get_running_loop(),
        )
        self.busy = False  # between DATA and its reply
        self.closing = False  # ends after the present reply
        self.secure = False
        self.user: str | None = None
        self.peer = ""
        self.recipients: dict[str, str] = {}  # normal address to the address as given
        self._patience = _PATIENCE
        self._auth_failures = 0
        self._half_closed = False  # the client will say no more
        self._data: DataReader | None = None
        self._data_moved: asyncio.Future[None] | None = None
        self._held = 0  # bytes taken from the room of the door

    # The connection

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

    # The conversation

    async def _handle_client(self) -> None:
        try:
            if not self.closing:
                await self.push(f"220 {self.hostname} {self.protocol} {self.__ident__}")
            while self.transport is not None and not self.closing:
                await self._obey(await self._command_line())
        except Goodbye as goodbye:
            self.hang_up(str(goodbye))
        except (OSError, EOFError):
            pass  # the client left
        finally:
            if self.transport is not None:
                self.transport.close()

    async def _command_line(self) -> bytes:
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
            await self._run(command, line, rest)
        except (Goodbye, OSError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - a permanent reply would bounce the mail
            self.server.report(error)
            await self.push(_UNTRIED)
        if self._patience <= 0:
            self.server.meter.count("limit_total", kind="smtp_budget")
            raise Goodbye("421 4.7.0 too many commands or errors")

    async def _run(self, command: str, line: bytes, rest: bytes) -> None:
        method = self._smtp_methods.get(command)
        if method is None or len(line) > _LONGEST_COMMAND:
            await self.push("500 5.5.2 unknown command" if method is None else "500 5.5.2 line too long")
            return
        try:
            argument = rest.decode().strip()
        except UnicodeDecodeError:
            await self.push("501 5.5.2 not UTF-8")
            return
        if command not in ("MAIL", "RCPT", "DATA", "QUIT"):
            self._patience -= _COST_OF_COMMAND
        await method(argument or None)

    async def push(self, status: str | bytes) -> None:
        """Send a reply; refusals use up patience."""
        text = status if isinstance(status, str) else status.decode("utf-8", "replace")
        if text[:1] == "5":
            self._patience -= _COST_OF_REFUSAL
        self._writer.write(f"{text}\r\n".encode("utf-8", "replace"))
        await self._writer.drain()

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call]  # the library's
        self.recipients = {}

    # Commands

    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802 - named after the command
        """What this door can do."""
        if not hostname:
            await self.push(f"501 5.5.4 {self.greeting} needs your name")
            return
        self._set_rset_state()
        assert self.session is not None
        self.session.extended_smtp = True
        self.session.host_name = hostname
        offers = [self.hostname, f"SIZE {self.settings.max_size}", "8BITMIME", "SMTPUTF8", "PIPELINING"]
        if self.tls_context is not None and not self.secure:
            offers.append("STARTTLS")
        if self.secure and self.server.users:
            offers.append("AUTH PLAIN LOGIN")
        lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
        await self.push("\r\n".join(lines))

    async def smtp_STARTTLS(self, argument: str | None) -> None:  # noqa: N802 - named after the command
        """Go on encrypted, with nothing remembered of what was said in clear (see rfc3207 4.2)."""
        if argument or self.tls_context is None or self.secure:
            await self.push("501 5.5.4 no argument, please" if argument else "502 5.5.1 STARTTLS is not on offer")
            return
        await self.push("220 2.0.0 go ahead")
        self._reader._buffer.clear()  # type: ignore[attr-defined]  # noqa: SLF001 - commands injected before the handshake; the reader has no public way to drop them
        try:
            await self._writer.start_tls(self.tls_context, ssl_handshake_timeout=30)
        except (OSError, TimeoutError) as error:
            self.server.meter.count("limit_total", kind="tls_handshake")
            raise ConnectionAbortedError from error
        self.transport = self._writer.transport
        self._reader._transport = self.transport  # type: ignore[attr-defined]  # noqa: SLF001 - Python 3.11 leaves the old one there
        self.secure = True
        self._set_rset_state()
        assert self.session is not None
        self.session.host_name = None

    async def smtp_AUTH(self, argument: str | None) -> None:  # noqa: N802 - named after the command
        """Sign in: only when encrypted, slow for wrong passwords, and not for ever."""
        assert self.session is not None
        assert self.envelope is not None
        if not self.session.host_name:
            await self.push(f"503 5.5.1 say {self.greeting} first")
        elif not self.secure:
            await self.push("538 5.7.11 encrypt with STARTTLS first")
        elif not self.server.users or self.user is not None or self.envelope.mail_from is not None:
            await self.push("503 5.5.1 AUTH is not on offer now")
        else:
            await self._sign_in(argument or "")

    async def _sign_in(self, argument: str) -> None:
        try:
            name, password = await ask_credentials(argument, push=self.push, line=self._command_line)
        except Rejected as rejected:
            await self.push(str(rejected))
            return
        if await self.server.knows(name, password):
            self.user = name
            await self.push("235 2.7.0 welcome")
            return
        self._auth_failures += 1
        self.server.meter.count("auth_fail_total", source=self.source)
        await asyncio.sleep(self.settings.auth_pause.total_seconds())
        if self._auth_failures >= _AUTH_TRIES:
            raise Goodbye("421 4.7.0 too many wrong passwords")
        await self.push("535 5.7.8 wrong name or password")

    async def smtp_MAIL(self, argument: str | None) -> None:  # noqa: N802 - named after the command
        """Begin a mail; the null sender is welcome, for bounces tell what became of ours."""
        assert self.session is not None
        assert self.envelope is not None
        found = read_path(argument or "", "FROM")
        if not self.session.host_name:
            reply = f"503 5.5.1 say {self.greeting} first"
        elif self.envelope.mail_from is not None:
            reply = "503 5.5.1 one mail at a time"
        elif found is None:
            reply = "501 5.1.7 expected MAIL FROM:<address>"
        else:
            reply = fault_of_mail(found.parameters, self.settings.max_size) or "250 2.1.0 sender taken"
        if reply.startswith("250") and found is not None:
            self.envelope.mail_from = found.path
        await self.push(reply)

    async def smtp_RCPT(self, argument: str | None) -> None:  # noqa: N802 - named after the command
        """Take a recipient: one of the desk's own addresses, exactly, and nobody else's."""
        assert self.envelope is not None
        if self.envelope.mail_from is None:
            await self.push("503 5.5.1 say MAIL first")
            return
        await self.push(self._take_recipient(argument or ""))

    def _take_recipient(self, argument: str) -> str:
        found = read_path(argument, "TO")
        if found is None or not found.path:
            return "501 5.1.3 expected RCPT TO:<address>"
        if found.parameters:
            return "555 5.5.4 unknown parameter of RCPT"
        assert self.envelope is not None
        if len(self.envelope.rcpt_tos) >= self.settings.max_rcpt:
            self._patience -= _COST_OF_EXTRA_RECIPIENT
            self.server.meter.count("limit_total", kind="smtp_recipients")
            return "452 4.5.3 too many recipients"
        address = parse_address(found.path)
        if address is None or not self.server.desk.is_local(address):
            return "550 5.7.1 not an address of this desk, and nothing is relayed"
        if not self.server.desk.takes(address):
            return "550 5.1.1 no such address here"
        self.envelope.rcpt_tos.append(found.path)
        self.recipients.setdefault(address.normal, header_text(found.path, 254))
        return "250 2.1.5 recipient taken"

    async def smtp_DATA(self, argument: str | None) -> None:  # noqa: N802 - named after the command
        """Receive a mail, have it kept, and only then say so."""
        assert self.envelope is not None
        if argument or not self.envelope.rcpt_tos:
            await self.push("501 5.5.4 DATA takes no argument" if argument else "503 5.5.1 say RCPT first")
            return
        self.busy = True
        assert self._timeout_handle is not None
        self._timeout_handle.cancel()
        try:
            await self._receive()
        finally:
            self.busy = False
            self._set_rset_state()
            if self.transport is not None:
                self._reset_timeout()
        if self.server.draining:
            raise Goodbye("421 4.3.2 the desk is stopping, come back soon")

    async def _receive(self) -> None:
        mail = DataReader(self.settings.max_size)
        try:
            await self._collect(mail)
            if mail.too_big:
                await self._refuse_big(mail)
            elif not mail.ended:
                raise ConnectionAbortedError
            elif mail.dropped:
                self.server.meter.count("limit_total", kind="smtp_memory")
                await self._answer("452 4.3.1 too many mails at once, try again later")
            else:
                await self._answer(await self._keep(mail.content()))
        finally:
            if not mail.ended and not mail.too_big:
                self.server.meter.count("ingest_total", source=self.source, outcome="aborted")
            self._data = None
            self.server.room.give(self._held)
            self._held = 0

    async def _collect(self, mail: DataReader) -> None:
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

    def _wake(self) -> None:
        if self._data_moved is not None and not self._data_moved.done():
            self._data_moved.set_result(None)

    async def _refuse_big(self, mail: DataReader) -> None:
        self.server.meter.count("limit_total", kind="smtp_size")
        await self._answer(f"552 5.3.4 message too big, at most {self.settings.max_size} bytes")
        if not mail.ended:
            await asyncio.sleep(_LINGER_SECONDS)  # reads on, so that the reply is not lost with the connection
            self.closing = True

    async def _answer(self, reply: str) -> None:
        """The reply to a mail."""
        self._reset_timeout()
        await self.push(reply)

    async def _keep(self, body: bytes) -> str:
        """The reply to a mail that has come whole: 250 once it is committed, else 451."""
        if has_bare_line_ends(body):
            self.server.meter.count("limit_total", kind="bare_newline")
        try:
            kept: Kept = await self.server.keep(await self._receipt(body))
        except NotKept:
            self.server.meter.count("ingest_total", source=self.source, outcome="not_kept")
            return _UNTRIED
        self._patience = _PATIENCE
        self.server.meter.count("ingest_total", source=self.source, outcome="repeated" if kept.repeated else "kept")
        return f"250 2.0.0 kept as receipt {kept.id}"

    async def _receipt(self, body: bytes) -> Receipt:
        assert self.session is not None
        assert self.envelope is not None
        normals = list(self.recipients)
        key = (
            mail_receipt_key(body, normals)
            if len(body) < _HASH_IN_THREAD
            else await asyncio.to_thread(mail_receipt_key, body, normals)
        )
        envelope: dict[str, Any] = {
            "from": header_text(self.envelope.mail_from or "", 254),
            "to": list(self.recipients.values()),
            "peer": self.peer,
            "helo": header_text(self.session.host_name or "", 254),
            "tls": self.secure,
            "user": self.user,
            "mailbox": self.server.desk.mailbox(normals),
        }
        return Receipt(self.source, "mail", self.server.now(), envelope, body, key)

    async def smtp_VRFY(self, argument: str | None) -> None:  # noqa: ARG002, N802 - named after the command, whatever it asks
        """Tell nobody who exists."""
        await self.push("252 2.0.0 send a mail to find out")

    async def smtp_EXPN(self, argument: str | None) -> None:  # noqa: ARG002, N802 - named after the command, whatever it asks
        """Tell nobody who exists."""
        await self.push("502 5.5.1 not here")

    async def smtp_HELP(self, argument: str | None) -> None:  # noqa: ARG002, N802 - named after the command, whatever it asks
        """Where to read on."""
        await self.push("214 2.0.0 see RFC 5321")

