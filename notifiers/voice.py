"""Who the desk is in its mails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

from incidents.signal import Mailbox


@dataclass(frozen=True, slots=True)
class Voice:
    """How the desk speaks.

    ``sender`` is the relay's ``from:``; ``addresses`` the desk address of each mailbox by name. ``public_url`` is
    where links lead; without one, mails carry no links. ``zone`` is the desk's time zone, for all instants in text.
    """

    name: str
    instance: str
    sender: Mailbox
    zone: tzinfo
    addresses: Mapping[str, str] = field(default_factory=dict)
    public_url: str | None = None
