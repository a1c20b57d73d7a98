"""The console, first form: the list at ``/`` on this machine, the links of escalation mails, health and metrics."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from console.guard import Guarded, on_this_machine
from console.health import Health
from console.link import Links
from console.render import Renderer
from console.rows import groups_of
from desk.ports import Pages

#: Records that the list shows; it counts the others.
MOST_SHOWN = 100
_CSS = Path(__file__).parent / "static" / "console.css"


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _untold(number: str, error: Exception) -> None:
    del number, error


def make_console(
    pages: Pages, *, health: Callable[[], Health], metrics: Callable[[], bytes], loopback: bool, desk_name: str,
    public_url: str, zone: tzinfo = UTC, now: Callable[[], datetime] = _utc_now,
    on_error: Callable[[str, Exception], None] = _untold,
) -> ASGIApp:  # fmt: skip
    """The console as an ASGI application.

    ``loopback`` says that the listener is on this machine alone; ``public_url`` is what links in mails begin with;
    ``on_error`` is told of a page that could not be made, with the number that the page shows.
    """
    renderer = Renderer(desk_name, public_url)
    console = Console(pages, renderer, loopback=loopback, zone=zone, now=now)
    links = Links(pages, renderer, zone=zone, now=now)
    watch = Watched(health, metrics)
    routes = [
        Route("/", console.queue),
        Route("/static/console.css", console.stylesheet),
        Route("/a/{token}", links.page, methods=["GET", "HEAD", "POST"]),
        *watch.routes(),
    ]
    failures = Failures(renderer, on_error)
    handlers = {HTTPException: failures.refused, Exception: failures.failed}
    return Guarded(Starlette(routes=routes, exception_handlers=handlers))


def make_watch(*, health: Callable[[], Health], metrics: Callable[[], bytes]) -> ASGIApp:
    """Only what machines ask, as an ASGI application."""
    return Guarded(Starlette(routes=Watched(health, metrics).routes()))


class Console:
    """The pages that somebody at this machine sees."""

    def __init__(
        self, pages: Pages, renderer: Renderer, *, loopback: bool, zone: tzinfo, now: Callable[[], datetime]
    ) -> None:
        self._pages, self._renderer, self._loopback, self._zone, self._now = pages, renderer, loopback, zone, now
        self._css = _CSS.read_bytes()

    async def queue(self, request: Request) -> Response:
        """Answer what to take next."""
        if not (self._loopback and on_this_machine(request)):
            return self._renderer.said(
                404, title="The list is shown on this machine only",
                text="Until people can sign in, open it on the machine that the desk runs on, or use triagectl there.",
            )  # fmt: skip
        return await asyncio.to_thread(self._queue)

    def _queue(self) -> Response:
        now = self._now()
        queue = self._pages.open_records(MOST_SHOWN, now)
        groups = groups_of(queue.shown, now, self._zone)
        first = groups[0].rows[0] if groups else None
        as_of = f"{now.astimezone(self._zone):%H:%M %Z}"
        return self._renderer.page("queue.html", root="", queue=queue, groups=groups, first=first, as_of=as_of)

    async def stylesheet(self, request: Request) -> Response:
        """The one stylesheet."""
        del request
        return Response(self._css, media_type="text/css", headers={"Cache-Control": "max-age=300"})


class Watched:
    """What machines ask: alive, ready, and the figures."""

    def __init__(self, health: Callable[[], Health], metrics: Callable[[], bytes]) -> None:
        self._health, self._metrics = health, metrics

    def routes(self) -> list[Route]:
        """Where machines ask it."""
        return [
            Route("/healthz", self.healthz), Route("/readyz", self.readyz), Route("/metrics", self.metrics)
        ]  # fmt: skip

    async def healthz(self, request: Request) -> Response:
        """The process is alive: it answered."""
        del request
        return JSONResponse({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Whether work is taken now, and why not."""
        del request
        health = self._health()
        if health.ready:
            return JSONResponse({"status": "ready"})
        reasons = {"status": "not ready", "reasons": list(health.reasons)}
        return JSONResponse(reasons, status_code=503, headers={"Retry-After": "5"})

    async def metrics(self, request: Request) -> Response:
        """The figures, as Prometheus reads them."""
        del request
        text = await asyncio.to_thread(self._metrics)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


class Failures:
    """The pages of what is not there, may not be done, or could not be made."""

    def __init__(self, renderer: Renderer, on_error: Callable[[str, Exception], None]) -> None:
        self._renderer, self._on_error = renderer, on_error

    def refused(self, request: Request, error: Exception) -> Response:
        """404 and 405."""
        del request
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405:  # noqa: PLR2004 - the status itself
            text = f"It takes {headers.get('Allow', 'GET')}. Nothing was changed."
            return self._renderer.said(405, title="This page can't be used that way", text=text, headers=headers)
        text = "Nothing was changed. Check the address, or open the link of the mail again."
        return self._renderer.said(404, title="There is no such page", text=text)

    def failed(self, request: Request, error: Exception) -> Response:
        """500; 503 where trying again can help. What went wrong is told to the operator, not to the reader."""
        del request
        number = f"e-{secrets.token_hex(2)}-{secrets.token_hex(2)}"
        self._on_error(number, error)
        if getattr(error, "permanent", True):
            return self._renderer.page("failed.html", status=500, number=number)
        return self._renderer.said(
            503, title="The desk can't reach its records now", headers={"Retry-After": "10"},
            text="Nothing was changed and no mail was lost. Try again in a minute.",
        )  # fmt: skip
