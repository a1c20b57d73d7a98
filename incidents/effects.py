"""Effects: what a decision wants done later, stored in the same commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class NoticeKind(StrEnum):
    """What a notification is; each has its template."""

    ACKNOWLEDGEMENT = "acknowledgement"
    REPLY = "reply"
    STATUS = "status"
    ESCALATION = "escalation"
    DEADLINE = "deadline"
    NOTICE = "notice"


#: Mail that the desk sends by itself: counted against the budget of its address.
AUTOMATIC = frozenset({NoticeKind.ACKNOWLEDGEMENT, NoticeKind.STATUS})
#: Mail to people on call: never counted, but collapsed beyond their limit.
PAGES = frozenset({NoticeKind.ESCALATION, NoticeKind.DEADLINE})
#: The same, and the notices that stand for many of them: what somebody is to be woken by.
WAKING = PAGES | {NoticeKind.NOTICE}


class OutboxState(StrEnum):
    """Where a notification stands. ``ready`` has its bytes; ``suppressed`` and ``collapsed`` say why in ``reason``."""

    WAITING = "waiting"
    READY = "ready"
    DELIVERED = "delivered"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    SUPPRESSED = "suppressed"
    COLLAPSED = "collapsed"


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell one person something about a record. ``facts`` are what the text needs that may change until it is sent."""

    kind: NoticeKind
    person: int
    address: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notification as it is stored: one recipient, one channel, a Message-ID that never changes.

    ``rank`` is 1 for P1 to 5 for P5. ``facts`` hold text, numbers, lists and objects of these. A ``notice`` tells
    ``members`` collapsed pages; each of those names it in ``notice``.
    """

    id: int
    subject: int | None
    kind: str
    person: int
    recipient: str
    rank: int
    message_id: str
    facts: Mapping[str, Any]
    state: str
    created_at: datetime
    next_at: datetime | None
    expires_at: datetime
    channel: str = "mail"
    reason: str | None = None
    notice: int | None = None
    members: int = 0
    attempts: int = 0
    body: bytes | None = None
