"""Close and merge: nothing more will be done here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from desk.change import Cancel, Change, Link, Participant, said_by
from desk.errors import Invalid
from desk.moving import check_move, check_role
from incidents.incident import DUPLICATE, Incident
from incidents.person import Author
from incidents.timeline import EntryKind, Values
from rules.policy import Policy

#: Every clock of a record.
_ALL_CLOCKS = (Cancel(""),)


def close(incident: Incident, *, by: Author, at: datetime, policy: Policy, reason: str) -> Change:
    """Nothing more will be done."""
    check_role(incident, "close", by=by, policy=policy)
    check_move(incident, "closed", by=by, at=at, policy=policy, filled={})
    values: Values = {"state": {"before": incident.state, "after": "closed"}, "reason": reason}
    entry = said_by(by, EntryKind.CHANGED, values, at=at)
    return Change(replace(incident, state="closed", closed_at=at), at, entries=[entry], targets=_ALL_CLOCKS)


def merge(
    incident: Incident, *, into: Incident, by: Author, at: datetime, policy: Policy, reason: str,
    people: Collection[tuple[int, str, str]],
) -> tuple[Change, Change]:  # fmt: skip
    """Make one record of two: this one closes as a duplicate, its fold keys and its people go to the other.

    ``people`` are who takes part in this one: person, team and role. Who asked watches from now on.
    """
    check_role(incident, "merge", by=by, policy=policy)
    check_role(into, "merge", by=by, policy=policy)
    if incident.id == into.id:
        raise Invalid(f"{incident.ref} can't be merged into itself")
    if incident.state == "closed":
        raise Invalid(f"{incident.ref} is closed; only an open record can be merged")
    if not into.is_open:
        raise Invalid(f"{into.ref} is {into.state}: merge into an open record, or reopen it first")
    closed = replace(incident, state="closed", closed_at=at, resolution=DUPLICATE, firing=0)
    away = Change(
        closed, at, targets=_ALL_CLOCKS, keys_to=into.id,
        entries=[said_by(by, EntryKind.MERGED, {"reason": reason, "into": into.id}, at=at)],
        links=[Link(incident.id, into.id, "duplicate_of", at, by.person, reason)],
    )  # fmt: skip
    joined = [
        Participant(into.id, person, team, "watcher" if role == "requester" else role, at)
        for person, team, role in sorted(people)
    ]
    if incident.mailbox is not None and incident.mailbox != into.mailbox:  # answers still go to its address (A28)
        joined.append(Participant(into.id, 0, incident.mailbox, "watcher", at))
    taken = replace(into, firing=into.firing + incident.firing)
    entry = said_by(by, EntryKind.MERGED, {"reason": reason, "from": incident.id}, at=at)
    return away, Change(taken, at, entries=[entry], participants=joined)
