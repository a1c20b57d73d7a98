"""What the outer rooms ask of the desk, so that console and commands need not know the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from incidents.incident import Incident
from incidents.targets import Target


class Shown(NamedTuple):
    """A record as a list or a page shows it: people by name, clocks beside it."""

    incident: Incident
    assignee: str | None
    requester: str | None
    requester_address: str | None
    acknowledged_by: str | None
    signals: int
    targets: Sequence[Target]


class Acknowledged(NamedTuple):
    """What an acknowledgement link led to: the record, who has it since when, and whether this click did it."""

    shown: Shown
    by: str
    at: datetime
    now_done: bool


class Pages(Protocol):
    """What the console's pages read and do. All of it may block: call it in a thread."""

    def open_records(self, limit: int) -> Sequence[Shown]:
        """The open records, the next clock first."""
        ...

    def asked(self, token: str, now: datetime) -> Shown | None:
        """The record that an acknowledgement link is about; None when the link is not good (any more)."""
        ...

    def form_token(self, token: str, now: datetime) -> str:
        """The nonce for the form of a link."""
        ...

    def acknowledge(self, token: str, form: str, now: datetime) -> Acknowledged | None:
        """Acknowledge for the person whom the link was sent to; None when link or form is not good (any more)."""
        ...
