"""A note: words for those who work on it."""

from __future__ import annotations

from datetime import datetime

from desk.change import Change, said_by
from desk.errors import Missing
from desk.moving import check_role
from incidents.incident import Incident
from incidents.person import Author
from incidents.timeline import EntryKind
from rules.policy import Policy


def note(incident: Incident, *, by: Author, at: datetime, policy: Policy, text: str) -> Change:
    """Write down something that the requester does not read."""
    check_role(incident, "note", by=by, policy=policy)
    if not text.strip():
        raise Missing("A note needs words")
    return Change(incident, at, entries=[said_by(by, EntryKind.NOTE, {"text": text}, at=at)])
