"""What a notification is told from, beside its own row: to whom, about which record, in whose words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from incidents.incident import Incident
from incidents.person import Person

#: The line that mails to people who asked begin with: what stands below it in an answer is ours.
REPLY_MARKER = "-- reply above this line --"


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
