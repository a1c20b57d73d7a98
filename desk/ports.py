"""What the outer rooms ask of the desk, so that console and commands need not know the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from incidents.incident import Incident
from incidents.targets import Target


class Shown(NamedTuple):
    """A record as a list or a page shows it: its state as policy calls it, people by name, the promises that bind."""

    incident: Incident
    state: str
    assignee: str | None
    requester: str | None
    requester_address: str | None
    acknowledged_by: str | None
    signals: int
    targets: Sequence[Target]


class Queue(NamedTuple):
    """The open records, the next clock first, as many as were asked for; and how many there are in all."""

    shown: Sequence[Shown]
    open: int
    overdue: int
    due_soon: int  # within the hour
    needs_person: int


class Asked(NamedTuple):
    """What an acknowledgement link asks, of whom, and the nonce that the form carries back.

    ``yours`` says that this person has acknowledged it already.
    """

    shown: Shown
    person: str
    form: str
    yours: bool


class Acknowledged(NamedTuple):
    """What an acknowledgement link led to.

    ``by`` and ``at`` say who has it since when; neither where the record was over before anybody had it.
    ``yours`` says that it is the person of the link, ``now_done`` that this click did it.
    """

    shown: Shown
    by: str | None
    at: datetime | None
    yours: bool
    now_done: bool


class Pages(Protocol):
    """What the console's pages read and do. All of it may block: call it in a thread."""

    def open_records(self, limit: int, now: datetime) -> Queue:
        """The open records, the next clock first."""
        ...

    def asked(self, token: str, now: datetime) -> Asked | None:
        """What a link asks; None when it is not good (any more). Words that this person may read stand open."""
        ...

    def acknowledge(self, token: str, form: str, now: datetime) -> Acknowledged | None:
        """Acknowledge for the person whom the link was sent to; None when link or form is not good (any more)."""
        ...
