"""What a mail is made of beside its outbox row: who speaks, to whom, about which record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from incidents.incident import Incident
from incidents.person import Person
from incidents.signal import Mailbox


@dataclass(frozen=True, slots=True)
class Voice:
    """Who the desk is in its mails.

    ``sender`` is the relay's ``from:``; ``addresses`` the desk address of each mailbox by name. ``public_url`` is
    where links lead; without one, mails carry no links. ``zone`` is the desk's time zone, for all instants in text.
    """

    name: str
    domain: str
    instance: str
    sender: Mailbox
    zone: tzinfo
    addresses: Mapping[str, str] = field(default_factory=dict)
    public_url: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One collapsed page that a notice tells."""

    record: int
    ref: str
    priority: str
    title: str


@dataclass(frozen=True, slots=True)
class Story:
    """The recipient and, as far as the kind needs them: the record, a reply's text and author, a notice's pages.

    ``pages`` are the first of a notice, critical ones first; ``members`` how many there are.
    """

    person: Person
    incident: Incident | None = None
    text: str = ""
    author: str = ""
    pages: Sequence[Page] = ()
    members: int = 0
