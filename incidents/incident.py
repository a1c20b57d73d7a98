"""The record that signals fold into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What a record is; the prefix of its reference follows."""

    INCIDENT = "incident"
    SERVICE_REQUEST = "service_request"


PREFIX = {Kind.INCIDENT: "INC", Kind.SERVICE_REQUEST: "REQ"}
#: The resolution of a record that was merged into another, which has its fold keys and its people now.
DUPLICATE = "duplicate"
OPEN_STATES = ("new", "working", "waiting_customer", "waiting_vendor", "restored")


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident or a service request: the head that all records share, and its own columns.

    ``team`` is always set: the owning team at ``tier`` of the service. ``assignee`` and ``requester`` are person ids.
    ``firing`` counts the alerts of this record that have not ended; ``reopens`` how often it came back after resolved.
    ``mailbox`` names the desk address that the record speaks from, ``last_message_id`` the newest mail of its thread.
    ``version`` rises with every save.
    """

    id: int
    number: int
    kind: str
    title: str
    state: str
    team: str
    opened_at: datetime
    updated_at: datetime
    source: str
    priority: str
    severity: str
    impact: str
    urgency: str
    tier: int
    type: str | None = None
    assignee: int | None = None
    service: str | None = None
    category: str | None = None
    requester: int | None = None
    confidential: bool = False
    retention_class: str = "standard"
    needs_person: bool = False
    severity_hint: str | None = None
    floor: str | None = None
    mailbox: str | None = None
    last_message_id: str | None = None
    resource: str | None = None
    url: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    group_key: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: int | None = None
    restored_at: datetime | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None
    closed_at: datetime | None = None
    firing: int = 0
    reopens: int = 0
    hold_count: int = 0
    version: int = 0

    @property
    def ref(self) -> str:
        """The reference for people, such as ``INC-1042``."""
        return f"{PREFIX[Kind(self.kind)]}-{self.number}"

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.state in OPEN_STATES


def parse_ref(text: str) -> int | None:
    """The number that a reference names; either prefix finds it.

    >>> parse_ref("inc-1042"), parse_ref("REQ-7"), parse_ref("INC-x")
    (1042, 7, None)
    """
    prefix, dash, digits = text.strip().upper().partition("-")
    if not dash or prefix not in PREFIX.values() or not digits.isascii() or not digits.isdigit():
        return None
    return int(digits) if len(digits) < 16 else None  # noqa: PLR2004 - what a 64-bit column holds
