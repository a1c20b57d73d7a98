"""The link of an escalation: who is asked, about what, and one button. Looking changes nothing; pressing does.

Programs that read mail open links, so only the POST of the form acts, and only with the nonce that the page carried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from console.render import Renderer
from console.rows import row_of
from console.words import when
from desk.errors import DeskError
from desk.ports import Acknowledged, Pages, Shown

#: The form is one nonce; a body beyond this, or slower, is not ours.
_MOST_BYTES = 2048
_BODY_SECONDS = 10


class Links:
    """``/a/{token}``."""

    def __init__(self, pages: Pages, renderer: Renderer, *, zone: tzinfo, now: Callable[[], datetime]) -> None:
        self._pages, self._renderer, self._zone, self._now = pages, renderer, zone, now

    async def page(self, request: Request) -> Response:
        """Show who is asked about what; take the press of the button."""
        token = request.path_params["token"]
        if request.method != "POST":
            return await asyncio.to_thread(self._ask, token)
        form = await _form(request)
        return self._not_good() if form is None else await asyncio.to_thread(self._answer, token, form)

    def _ask(self, token: str) -> Response:
        now = self._now()
        asked = self._pages.asked(token, now)
        if asked is None:
            return self._not_good()
        shown = asked.shown
        if shown.incident.acknowledged_at is not None or not shown.incident.is_open:
            by, at = shown.acknowledged_by, shown.incident.acknowledged_at
            return self._said(Acknowledged(shown, by, at, yours=asked.yours, now_done=False), now)
        return self._renderer.page("ask.html", person=asked.person, form=asked.form, **self._record(shown, now))

    def _answer(self, token: str, form: str) -> Response:
        now = self._now()
        try:
            done = self._pages.acknowledge(token, form, now)
        except DeskError as error:
            sentence = f"{str(error).rstrip('.')}. Nothing was changed."
            return self._renderer.said(409, title="The desk did not take it", text=sentence)
        return self._not_good() if done is None else self._said(done, now)

    def _said(self, done: Acknowledged, now: datetime) -> Response:
        since = "" if done.at is None else when(done.at, now, self._zone)
        return self._renderer.page("answered.html", done=done, since=since, **self._record(done.shown, now))

    def _record(self, shown: Shown, now: datetime) -> dict[str, Any]:
        """The record in words."""
        opened = when(shown.incident.opened_at, now, self._zone)
        return {"row": row_of(shown, now, self._zone), "opened": opened, "zone": f"{now.astimezone(self._zone):%Z}"}

    def _not_good(self) -> Response:
        """One page for forged, expired and foreign links, so that trying tells nothing."""
        text = "It may be too old, or not whole. Nothing was changed. Open the newest mail about it, or ask your team."
        return self._renderer.said(404, title="This link does not work", text=text)


async def _form(request: Request) -> str | None:
    """The nonce of the form; None where the body is no such form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return None
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > _MOST_BYTES:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=4)
    except ValueError:
        return None
    given = fields.get("form", [])
    return given[0] if len(given) == 1 else None
