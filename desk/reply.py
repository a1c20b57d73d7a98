"""A reply: words to the requester, by mail, in the record's thread."""

from __future__ import annotations

from datetime import datetime

from desk.change import Change, Meet, said_by
from desk.errors import Missing
from desk.moving import check_role
from incidents.effects import NoticeKind, Notify
from incidents.incident import Incident
from incidents.person import Author, Person
from incidents.timeline import EntryKind, Values
from rules.policy import Policy


def reply(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, text: str, to: list[Person], next_seq: int
) -> Change:
    """Answer the requester and the watchers (``to``). The first human public message meets the respond target.

    ``next_seq`` is the seq that the entry will get: the mail is composed from it.
    """
    check_role(incident, "reply", by=by, policy=policy)
    if not text.strip():
        raise Missing("A reply needs words")
    reached = [person for person in to if person.address]
    if not reached:
        raise Missing(f"{incident.ref} has nobody to reply to: no person asked by mail. Write a note instead")
    values: Values = {"text": text, "to": [person.id for person in reached]}
    entry = said_by(by, EntryKind.MESSAGE_OUT, values, at=at, visibility="public")
    notify = [Notify(NoticeKind.REPLY, person.id, str(person.address), {"entry": next_seq}) for person in reached]
    return Change(incident, at, entries=[entry], targets=[Meet("sla.respond")], notify=notify)
