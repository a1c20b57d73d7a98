"""The mail door: SMTP on aiosmtpd, with its own way of reading mail, and limits on all that a stranger can ask for.

A 250 after DATA means that the mail is committed; whatever goes wrong on our side is a 4xx, so that the sender tries
again. Nothing of the mail is parsed here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from desk.receive import NotKept, Receipt, mail_receipt_key
from ingest.listeners.smtp_auth import Rejected, ask_credentials
from ingest.listeners.smtp_data import DataReader, has_bare_line_ends
from ingest.listeners.smtp_paths import fault_of_mail, read_path
from ingest.listeners.smtp_session import PATIENCE, UNTRIED, Conversation, Goodbye
from kit.addresses import parse_address
from kit.text import header_text

if TYPE_CHECKING:
    from ingest.listeners.smtp_server import SmtpServer

_COST_OF_EXTRA_RECIPIENT = 1  # a mailing list of thousands may be told 452 for each
_AUTH_TRIES = 3
_HASH_IN_THREAD = 1_048_576  # bytes from which making the key would hold up the loop
_LINGER_SECONDS = 1


class Session(Conversation):
    """The commands, from the greeting to the dot."""

    greeting = "EHLO"
    source = "smtp"

    def __init__(self, server: SmtpServer) -> None:
        super().__init__(server)
        self.user: str | None = None
        self.recipients: dict[str, str] = {}  # normal address to the address as given
        self._auth_failures = 0

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call]  # the library's
        self.recipients = {}

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
            name, password = await ask_credentials(argument, push=self.push, line=self.command_line)
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
            self.patience -= _COST_OF_EXTRA_RECIPIENT
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
            await self.collect(mail)
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
            self.release()

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
            kept = await self.server.keep(await self._receipt(body))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the mail's fault, and a 5xx would bounce it
            if not isinstance(error, NotKept):
                self.server.report(error)
            self.server.meter.count("ingest_total", source=self.source, outcome="not_kept")
            return UNTRIED
        self.patience = PATIENCE
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

