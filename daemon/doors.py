"""The doors of a daemon: which listeners it opens by its configuration, and how they close."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from console.app import make_console, make_watch
from console.health import Health
from daemon.activation import BadSockets, Given, loopback
from daemon.clock import utc_now
from daemon.config import Config
from daemon.readers import Listen
from daemon.roles import Role, Roles
from desk.ports import Pages
from desk.receive import Kept, Receipt
from ingest.listeners.bounds import Meter
from ingest.listeners.http import Asgi, Door, HttpSettings, Source
from ingest.listeners.http_server import HttpServer
from ingest.listeners.smtp_server import SmtpServer, serve_lmtp, serve_smtp
from ingest.listeners.smtp_settings import SmtpSettings, Tls
from ingest.listeners.sockets import bind, bind_unix
from ingest.registry import load_alert_format


class Behind(Protocol):
    """What stands behind the doors."""

    config: Config
    meter: Meter
    pages: Pages
    roles: Roles

    @property
    def keep(self) -> Callable[[Receipt], Awaitable[Kept]]:
        """Have a receipt kept."""

    def health(self) -> Health:
        """Whether work is taken now."""

    def metrics_text(self) -> bytes:
        """The figures, as Prometheus reads them."""

    def page_failed(self, number: str, error: Exception) -> None:
        """A page could not be made."""


class Doors:
    """Open from `open` to `close`. ``given`` are listening sockets that others opened, by the name of the door."""

    def __init__(self, behind: Behind, given: Given) -> None:
        self._behind, self._config, self._given = behind, behind.config, given
        self._web: list[HttpServer] = []
        self._mail: list[SmtpServer] = []

    async def open(self) -> None:
        """Bind every listener first, so that either all are open or none; then let people in. Raises `BadSockets`."""
        config, given = self._config, self._given
        if config.smtp is None and ("smtp" in given or "lmtp" in given):
            raise BadSockets("A socket unit opens a mail door and there are no smtp.addresses: expected some to take.")
        ingest, pages = Role.INGEST in self._behind.roles, Role.WEB in self._behind.roles
        web = self._sockets("http", config.http.listen if ingest or pages else None)
        metrics = self._sockets("metrics", config.metrics.listen)
        smtp = self._sockets("smtp", config.smtp.listen if config.smtp is not None and ingest else None)
        lmtp = given.get("lmtp") or ([bind_unix(config.lmtp.listen)] if config.lmtp is not None and ingest else [])
        if web:
            others = self._console(loopback=loopback(web)) if pages else self._watch()
            await self._serve(self._webhooks(others) if ingest else others, web)
        if metrics:
            await self._serve(self._watch(), metrics)
        for serve, sockets in ((serve_smtp, smtp), (serve_lmtp, lmtp)):
            if sockets:
                door = await serve(
                    self._mail_settings(), self._behind.keep, now=utc_now, meter=self._behind.meter,
                    ready=self._ready, sockets=sockets,
                )  # fmt: skip
                self._mail.append(door)

    async def close(self) -> None:
        """Let nobody in any more, and finish what is under way at all doors at once."""
        await asyncio.gather(*(mail.close() for mail in self._mail), *(web.close() for web in self._web))

    def _sockets(self, door: str, listen: Listen | None) -> Sequence[socket.socket]:
        """Those that were given for a door; else such as its setting says."""
        return self._given.get(door) or (bind(str(listen)) if listen is not None else ())

    async def _serve(self, app: Asgi, sockets: Sequence[socket.socket]) -> None:
        server = HttpServer(app, meter=self._behind.meter)
        self._web.append(server)
        await server.start(sockets)

    def _ready(self) -> bool:
        return self._behind.health().ready

    def _watch(self) -> Asgi:
        return make_watch(health=self._behind.health, metrics=self._behind.metrics_text)

    def _console(self, *, loopback: bool) -> Asgi:
        config = self._config
        return make_console(
            self._behind.pages, health=self._behind.health, metrics=self._behind.metrics_text, loopback=loopback,
            desk_name=config.desk.name, public_url=config.public_url, zone=config.desk.zone,
            on_error=self._behind.page_failed,
        )  # fmt: skip

    def _webhooks(self, others: Asgi) -> Asgi:
        sources = {
            one.name: Source(
                one.name, one.format, hashlib.sha256(one.token.value.encode()).digest(),
                load_alert_format(one.format).shape,
            )
            for one in self._config.sources
        }  # fmt: skip
        return Door(
            sources, keep=self._behind.keep, now=utc_now, meter=self._behind.meter, ready=self._ready, others=others,
            settings=HttpSettings(max_size=self._config.http.max_size),
        )  # fmt: skip

    def _mail_settings(self) -> SmtpSettings:
        smtp = self._config.smtp
        assert smtp is not None
        tls = None if smtp.tls is None else Tls(smtp.tls.certificate_file, smtp.tls.key_file)
        return SmtpSettings(
            listen=str(smtp.listen), addresses=self._config.addresses, hostname=self._config.desk.domain,
            max_size=smtp.max_size, tls=tls, users_file=smtp.users_file,
        )  # fmt: skip
