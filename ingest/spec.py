"""What a format is: a module of `ingest.formats`, pure, that makes signals of a receipt's bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from incidents.signal import Alert, Mail, Refused


class Unreadable(Exception):
    """The payload can't be read."""

    code = "payload.unreadable"
    permanent = True


class Shape(NamedTuple):
    """What a door must know of a payload before the yes: how many items will be signals, and which will not.

    ``key`` is the name that the answer gives back to the sender, for dialects that promise one (PagerDuty's
    ``dedup_key``); None for all others.
    """

    accepted: int
    refused: tuple[Refused, ...] = ()
    key: str | None = None


class AlertFormat(Protocol):
    """A format of machines. Both functions take the same items and refuse the same ones."""

    def shape(self, body: bytes) -> Shape:
        """As little reading as the answer needs. Raises `Unreadable` when the whole payload can't be read."""

    def parse(self, body: bytes) -> Sequence[Alert | Refused]:
        """The alerts of a payload, in its order. Raises `Unreadable` like ``shape``."""


class MailFormat(Protocol):
    """The format of people."""

    def shape(self, body: bytes) -> Shape:
        """A mail is one item, whatever is in it."""

    def parse(self, body: bytes, envelope: Mapping[str, Any], *, trust: str | None = None) -> Mail:
        """The mail, cleaned. Never raises for what stands in it."""


Format = AlertFormat | MailFormat
