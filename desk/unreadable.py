"""What cannot be worked still has to be seen: a plain record that a person looks at (fault 24)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from desk.apply import apply
from desk.change import Change
from desk.open import Opening, open_record
from desk.working import Working
from incidents.episode import FoldKey
from incidents.timeline import Entry, EntryKind, Values
from kit.text import clean_text, header_text
from rules.facts import Facts


def key_of_unreadable(receipt: int, source: str, *, mail: bool) -> str:
    """The fold key of what could not be read: a mail's own, so that a replay joins it; one a source for payloads."""
    return f"receipt:{receipt}" if mail else f"quarantine:{source}"


def open_unreadable(
    working: Working, *, receipt: int, source: str, received_at: datetime, envelope: Mapping[str, Any], why: str,
    mail: bool,
) -> None:  # fmt: skip
    """Open or extend the record of a quarantined receipt."""
    name = key_of_unreadable(receipt, source, mail=mail)
    known = working.key(name)
    record = None if known is None else working.incident(known.incident or 0)
    replay = f"triagectl signal replay receipt:{receipt}"
    values: Values = {"receipt": receipt, "why": clean_text(why, 1000), "replay": replay}
    if known is not None and record is not None and record.is_open:
        entry = Entry(EntryKind.FOLDED, working.desk.machine.person, values, received_at)
        apply(working, Change(record, received_at, entries=[entry]))
        working.put_key(replace(known, signals=known.signals + 1, last_seen_at=received_at))
        return
    sender = header_text(str(envelope.get("from") or "an unknown sender"))
    title = f"Unreadable mail from {sender}" if mail else f"Unreadable payload from {source}"
    facts = Facts("mail" if mail else "alert", source, received_at, title, sender=sender)
    mailbox = envelope.get("mailbox") if mail else None
    incident = open_record(working, Opening(facts, title, working.desk.machine, values, mailbox=mailbox))
    version = 0 if known is None else known.version
    working.put_key(
        FoldKey(
            name, incident.id, received_at, "mail", receipt, b"", own_start=False, last_seen_at=received_at,
            version=version,
        )
    )  # fmt: skip
