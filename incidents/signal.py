"""A signal: one thing that a receipt says. Formats make alerts and mails of raw bytes; nothing here knows how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class AlertStatus(StrEnum):
    """The alert's own word."""

    FIRING = "firing"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    IGNORED = "ignored"


class Disposition(StrEnum):
    """What became of a signal; each signal ends in exactly one."""

    OPENED = "opened"
    FOLDED = "folded"
    REPEATED = "repeated"
    DUPLICATE = "duplicate"
    LATE = "late"
    UNMATCHED = "unmatched"
    REFUSED = "refused"
    SPAM = "spam"
    LOOP = "loop"
    IGNORED = "ignored"
    DISCARDED = "discarded"


class Alert(NamedTuple):
    """One alert of a payload, in the desk's words.

    ``key`` is the sender's own name for the thing (a fingerprint, a dedup key); None where it has none.
    ``severity_hint`` is ``sev1`` to ``sev4`` or None: an unknown word stays in ``labels["severity"]``.
    ``starts_at`` names the episode; None where the sender gives none.
    ``reopens`` is False for senders whose keys never come back to a resolved record (PagerDuty).
    """

    status: AlertStatus
    key: str | None
    title: str
    summary: str = ""
    severity_hint: str | None = None
    resource: str | None = None
    service: str | None = None
    labels: Mapping[str, str] = MappingProxyType({})
    annotations: Mapping[str, str] = MappingProxyType({})
    url: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    group_key: str | None = None
    reopens: bool = True


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Who a mail is from or to: a normal address and the name beside it."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part kept as a file: its cleaned name, media type, size in bytes, and the hash of its content."""

    name: str
    type: str
    size: int
    inline: bool
    sha256: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """One recipient that a delivery report speaks of: ``dsn`` is its status code, such as ``5.1.1``."""

    recipient: str
    dsn: str
    hard: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, parsed and cleaned.

    ``recipients`` are those of the envelope. ``message_id`` and ``references`` (oldest first) stand without
    angle brackets. ``text`` is the whole readable body; ``new_text`` what this person wrote.
    ``automatic`` is None for a person's mail, else the reason why it counts as a machine's.
    ``spam`` and ``verified`` are what a trusted hop said; None where none did.
    ``notes`` tell what was cut or could not be read.
    """

    sender: Mailbox | None
    recipients: tuple[str, ...]
    subject: str
    sent_at: datetime | None = None
    message_id: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    text: str = ""
    new_text: str = ""
    quoted: str = ""
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    automatic: str | None = None
    bounce: tuple[Bounce, ...] | None = None
    bounced_message_id: str | None = None
    copied: tuple[Mailbox, ...] = ()
    spam: bool | None = None
    verified: bool | None = None
    hops: int = 0
    auto_reply_suppressed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """An item of a payload that could not be read: where it stands, and what was wrong with it."""

    path: str
    why: str


Item = Alert | Mail | Refused
