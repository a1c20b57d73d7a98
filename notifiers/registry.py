"""Notifier kinds by name: one small file each, imported only when the relay's URL asks for it."""

from __future__ import annotations

import importlib
from typing import cast
from urllib.parse import urlsplit

from notifiers.errors import BadRelay
from notifiers.spec import Kind, Relay

#: The schemes of a relay's URL, and the kind that serves each.
SCHEMES = {"smtp": "smtp", "smtps": "smtp", "maildir": "maildir"}


def open_relay(url: str, *, sender: str, domain: str) -> Relay:
    """The relay that ``url`` names, not yet connected. Raises `BadRelay` with what was expected."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # the library looks at the digits only when asked
    except ValueError:
        raise BadRelay(f"relay.url is no address: {url[:100]!r}. Write smtp://host:port or maildir:/path.") from None
    kind = SCHEMES.get(parts.scheme)
    if kind is None:
        raise BadRelay(f"relay.url begins with {parts.scheme[:20]!r}; the known ones are {', '.join(SCHEMES)}.")
    module = cast("Kind", importlib.import_module(f"notifiers.kinds.{kind}"))
    return module.open_relay(parts, sender=sender, domain=domain)
