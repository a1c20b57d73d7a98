"""What every answer carries, and who may see the list: nothing here trusts the network."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.hosts import is_loopback

_POLICY = (
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
#: A link in a mail is a secret of its reader: no page may leak its address, be kept, framed or guessed at.
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Guarded:
    """Wraps the console: the headers of every answer, and no error that goes further than its own page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, send_guarded)
        except Exception:
            if not begun:
                raise
            # its page was sent, and whoever watches was told: the server need not say it again


def on_this_machine(request: Request) -> bool:
    """Whether the peer sits at this machine: by its address, with no proxy between, under this machine's name.

    The name is looked at because a page of elsewhere can point a name of its own at 127.0.0.1.
    """
    client = request.client
    if client is None or not is_loopback(client.host):
        return False
    if any(name in request.headers for name in _FORWARDED):
        return False
    return is_loopback(_host(request.headers))


def _host(headers: Headers) -> str:
    """The host of the Host header, without its port."""
    host = headers.get("host", "")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
