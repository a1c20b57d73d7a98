"""What one desk function decides about one record: the new value, and what goes with it in the same commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from incidents.assessment import Assessment
from incidents.effects import Notify
from incidents.incident import Incident
from incidents.person import Author
from incidents.targets import Target
from incidents.timeline import Entry, EntryKind, Value


class Start(NamedTuple):
    """Begin a target; one of the same name that still binds is cancelled."""

    name: str
    length: timedelta
    calendar: str = "always"
    step: int = 0
    round: int = 0


class Meet(NamedTuple):
    """What the target waited for happened."""

    name: str


class Cancel(NamedTuple):
    """Targets whose name begins so bind no more."""

    prefix: str


class Pause(NamedTuple):
    """Stop every promised clock of the record."""


class Resume(NamedTuple):
    """Start the stopped clocks again."""


class Advance(NamedTuple):
    """Put a changed target in the place of the loaded one: a step taken, a warning given."""

    target: Target


TargetMove = Start | Meet | Cancel | Pause | Resume | Advance


class Link(NamedTuple):
    """One record's relation to another."""

    start: int
    end: int
    relation: str
    since: datetime
    author: int
    note: str | None = None


class Participant(NamedTuple):
    """Who takes part in a record: a person's id (0 for none) or a team's name (empty for none)."""

    subject: int
    person: int
    team: str
    role: str
    since: datetime


class Change(NamedTuple):
    """All that one act changes. ``at`` is when it happened; ``keys_to`` the record that takes the fold keys over."""

    incident: Incident
    at: datetime
    entries: Sequence[Entry] = ()
    targets: Sequence[TargetMove] = ()
    notify: Sequence[Notify] = ()
    links: Sequence[Link] = ()
    participants: Sequence[Participant] = ()
    assessment: Assessment | None = None
    keys_to: int | None = None


def said_by(
    by: Author, kind: EntryKind, values: Mapping[str, Value], *, at: datetime, visibility: str = "internal"
) -> Entry:
    """The entry of what ``by`` did; it names the handle that an operator acts as."""
    if by.acting_as:
        values = {**values, "acting_as": by.acting_as}
    return Entry(kind, by.person, values, at, visibility=visibility)
