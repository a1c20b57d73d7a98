"""The listening side of the mail doors: who may connect, what all connections share, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from desk.receive import Keep
from ingest.listeners.accepting import Acceptor
from ingest.listeners.bounds import Meter, Room
from ingest.listeners.lmtp import LmtpSession
from ingest.listeners.smtp import Session
from ingest.listeners.smtp_session import Conversation
from ingest.listeners.smtp_settings import Desk, SmtpSettings, Tls
from ingest.listeners.smtp_users import knows, read_users
from ingest.listeners.sockets import bind, bind_unix
from kit.hosts import source_of

_LOG = logging.getLogger(__name__)


class SmtpServer:
    """A mail door that is open until `close`."""

    def __init__(
        self,
        settings: SmtpSettings,
        keep: Keep,
        *,
        now: Callable[[], datetime],
        meter: Meter,
        ready: Callable[[], bool],
        session: type[Session],
    ) -> None:
        self.settings = settings
        self.keep = keep
        self.now = now
        self.meter = meter
        self.draining = False
        self.desk = Desk.of(settings.addresses)
        self.tls = tls_context(settings.tls) if settings.tls else None
        self.users = read_users(settings.users_file) if settings.users_file else {}
        self.room = Room(settings.memory)
        self._ready = ready
        self._session = session
        self._sessions: set[Conversation] = set()
        self._per_source: Counter[str] = Counter()
        self._acceptor: Acceptor | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections at ``sockets``."""
        self._acceptor = Acceptor(sockets, lambda: self._session(self), meter=self.meter)
        self._acceptor.start()

    def admit(self, session: Conversation) -> str | None:
        """None for a session that may go on, else the reply that ends it."""
        source = source_of(session.peer)
        if self.draining or not self._ready():
            return "421 4.3.2 the desk can't take mail now, try again later"
        if len(self._sessions) >= self.settings.max_connections:
            self.meter.count("limit_total", kind="smtp_connections")
            return "421 4.7.0 too many connections, try again later"
        if source and self._per_source[source] >= self.settings.max_connections_per_source:
            self.meter.count("limit_total", kind="smtp_connections_per_source")
            return "421 4.7.0 too many connections from your address, try again later"
        self._sessions.add(session)
        self._per_source[source] += 1
        self._empty.clear()
        return None

    def leave(self, session: Conversation) -> None:
        """The connection is closed."""
        if session not in self._sessions:
            return
        self._sessions.remove(session)
        source = source_of(session.peer)
        self._per_source[source] -= 1
        if not self._per_source[source]:
            del self._per_source[source]
        if not self._sessions:
            self._empty.set()

    async def knows(self, name: str, password: str) -> bool:
        """Whether a user may sign in; hashed in a thread."""
        return await asyncio.to_thread(knows, self.users, name, password)

    def report(self, error: Exception) -> None:
        """Tell the operator what the client must not read."""
        self.meter.count("limit_total", kind="smtp_failure")
        _LOG.error("smtp.failed", exc_info=error)

    async def close(self) -> None:
        """Take no new connections, let mails that are arriving arrive, tell all others to come back."""
        self.draining = True
        if self._acceptor is not None:
            self._acceptor.close()
        for session in list(self._sessions):
            if not session.busy:
                session.hang_up("421 4.3.2 the desk is stopping, come back soon")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), self.settings.drain.total_seconds())
        for session in list(self._sessions):
            session.hang_up("421 4.3.2 the desk is stopping, come back soon")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), 1)


async def serve_smtp(
    settings: SmtpSettings,
    keep: Keep,
    *,
    now: Callable[[], datetime],
    meter: Meter,
    ready: Callable[[], bool] = lambda: True,
    sockets: Sequence[socket.socket] | None = None,
) -> SmtpServer:
    """Open the SMTP door at ``sockets``, else at ``settings.listen``. Raises OSError, `BadListen`, `BadUsers`."""
    server = SmtpServer(settings, keep, now=now, meter=meter, ready=ready, session=Session)
    server.start(sockets or bind(settings.listen))
    return server


async def serve_lmtp(
    settings: SmtpSettings,
    keep: Keep,
    *,
    now: Callable[[], datetime],
    meter: Meter,
    ready: Callable[[], bool] = lambda: True,
    sockets: Sequence[socket.socket] | None = None,
) -> SmtpServer:
    """Open the LMTP door at ``sockets``, else at the path ``settings.listen``. Raises OSError, `BadUsers`."""
    server = SmtpServer(settings, keep, now=now, meter=meter, ready=ready, session=LmtpSession)
    server.start(sockets or [bind_unix(Path(settings.listen))])
    return server


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What STARTTLS uses: TLS 1.2 and newer. Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    return context
