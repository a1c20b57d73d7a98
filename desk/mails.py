"""Take a mail: thread it, fold it or open a record, and answer the person once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from desk.answering import is_automatic, why_unanswered
from desk.apply import apply
from desk.arrival import Arrival
from desk.bounces import take_bounce
from desk.change import Change, Participant
from desk.errors import NoSuchMove
from desk.escalate import start_escalation
from desk.facts import facts_of, facts_of_mail
from desk.open import Opening, open_record
from desk.reopen import reopen
from desk.thread import Thread, find_thread, ours, referred
from desk.wait import resume
from desk.working import SignalRow, Working
from incidents.effects import NoticeKind, Notify
from incidents.episode import FoldKey
from incidents.incident import DUPLICATE, Incident
from incidents.person import Author, Person
from incidents.signal import Disposition, Mail
from incidents.timeline import Entry, EntryKind, Values
from kit.addresses import parse_address
from kit.instants import stamp
from rules.policy import DeskMailbox

#: A mail that passed more hosts than this goes in circles (fault 37).
MOST_HOPS = 100
#: How many foreign Message-IDs of one mail become fold keys (A27).
MOST_REFERENCES = 20


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail on the table: its receipt, the desk address that it came by, and who sent it."""

    mail: Mail
    arrival: Arrival
    mailbox: DeskMailbox
    sender: Person | None


def take_mail(working: Working, mail: Mail, arrival: Arrival) -> None:
    """Decide one mail against the working set."""
    became = _decide(working, mail, arrival)
    key = None if became.disposition is Disposition.DUPLICATE else arrival.signal_key
    working.add_signal(
        SignalRow(
            working.ids.row(), arrival.id, arrival.source, key, arrival.received_at, mail.subject, "mail",
            became.disposition, became.incident, repeats=became.repeats, reason=became.reason,
        )
    )  # fmt: skip


class Became(NamedTuple):
    """What became of a mail: its disposition, record and reason, and the signal that a duplicate repeats."""

    disposition: Disposition
    incident: int | None
    reason: str | None
    repeats: int | None = None


def _decide(working: Working, mail: Mail, arrival: Arrival) -> Became:
    mailbox = working.desk.policy.mailboxes[arrival.envelope["mailbox"]]
    aside = _set_aside(working, mail, arrival, mailbox)
    if aside is not None:
        return aside
    known = None if mail.sender is None else working.by_address.get(mail.sender.address)
    thread = find_thread(working, mail, receipt=arrival.id, envelope=arrival.envelope, sender=known)
    if known is None and mailbox.unknown_senders == "refuse" and (thread is None or not thread.joins):
        return Became(Disposition.REFUSED, None, "unknown_sender")
    sender = None if mail.sender is None else working.person_at(mail.sender.address, mail.sender.name)
    letter = Letter(mail, arrival, mailbox, sender)
    if thread is not None and thread.joins:
        disposition, incident = _fold(working, letter, thread)
    else:
        disposition, incident = Disposition.OPENED, _open(working, letter, thread)
    _index(working, letter, incident)
    return Became(disposition, incident.id, None if thread is None else thread.reason)


def _set_aside(working: Working, mail: Mail, arrival: Arrival, mailbox: DeskMailbox) -> Became | None:
    """What is not to be worked as somebody's words: copies, loops, delivery reports, spam."""
    first = working.known_signals.get(arrival.signal_key or b"")
    if first is not None:
        _watch(working, first[1], mailbox, arrival)
        return Became(Disposition.DUPLICATE, first[1], "same_mail", first[0])
    if mail.hops > MOST_HOPS:
        return Became(Disposition.LOOP, None, "too_many_hops")
    if ours(mail.message_id, working.desk) is not None:
        return Became(Disposition.LOOP, None, "own_message")
    if mail.bounce is not None:
        return Became(*take_bounce(working, mail, arrival))
    return Became(Disposition.SPAM, None, "spam_mark") if mail.spam else None


# ---------------------------------------------------------------------- fold


def _fold(working: Working, letter: Letter, thread: Thread) -> tuple[Disposition, Incident]:
    """A mail joins its record; a person's reply brings back what waited for it or was resolved."""
    incident, mail, at = thread.incident, letter.mail, letter.arrival.received_at
    by_machine = is_automatic(mail, letter.mailbox)
    if incident.state == "closed" and not by_machine and not _may_reopen_closed(working, incident, letter):
        return Disposition.OPENED, _open(working, letter, thread, relation="follow_up_of")
    entry = _message_in(working, letter, thread)
    joined = _copied(working, letter, incident)
    last = mail.message_id or incident.last_message_id
    incident = apply(
        working, Change(replace(incident, last_message_id=last), at, entries=[entry], participants=joined)
    )
    if by_machine:
        return Disposition.FOLDED, incident
    if incident.state in ("resolved", "closed") and _reopens_left(working, incident) > 0:
        incident = _reopen(working, letter, incident)
    elif incident.state == "waiting_customer":
        incident = _resume(working, letter, incident)
    return Disposition.FOLDED, incident


def _resume(working: Working, letter: Letter, incident: Incident) -> Incident:
    at, policy = letter.arrival.received_at, working.desk.policy
    try:
        change = resume(incident, by=_author(working, letter), at=at, policy=policy, reason="the customer answered")
    except NoSuchMove:  # policy lets a person alone end the wait
        return incident
    return apply(working, change)


def _may_reopen_closed(working: Working, incident: Incident, letter: Letter) -> bool:
    if letter.mailbox.follow_up != "reopen" or incident.closed_at is None:
        return False
    within = working.desk.policy.lifecycles[incident.kind].reopen_within
    return incident.resolution != DUPLICATE and letter.arrival.received_at - incident.closed_at <= within


def _reopens_left(working: Working, incident: Incident) -> int:
    """A record comes back by mail only so often a day (A37)."""
    _, day = working.spent(f"record:{incident.id}", "reopen")
    return working.desk.policy.limits.reopens_per_day - day


def _reopen(working: Working, letter: Letter, incident: Incident) -> Incident:
    at, policy = letter.arrival.received_at, working.desk.policy
    facts = facts_of(incident, at)
    try:
        change = reopen(
            incident, by=_author(working, letter), at=at, policy=policy, reason="a reply by mail",
            promises=list(policy.promises(facts)),
        )  # fmt: skip
    except NoSuchMove:
        return incident
    working.spend(f"record:{incident.id}", "reopen", left=_reopens_left(working, incident))
    again = apply(working, change)
    _acknowledge(working, letter, again, reopened=True)
    start_escalation(working, again, policy.path_for(facts), at)
    return working.incidents[again.id]


# ---------------------------------------------------------------------- open


def _open(working: Working, letter: Letter, thread: Thread | None, *, relation: str = "related_to") -> Incident:
    mail, arrival = letter.mail, letter.arrival
    recipient = mail.recipients[0] if mail.recipients else ""
    links = () if thread is None else ((thread.incident.id, relation),)
    by_machine = is_automatic(mail, letter.mailbox)
    opening = Opening(
        facts_of_mail(mail, source=arrival.source, recipient=recipient, at=arrival.received_at), mail.subject,
        _author(working, letter), {"receipt": arrival.id}, requester=None if by_machine else letter.sender,
        mailbox=letter.mailbox.name, message_id=mail.message_id, links=links,
    )  # fmt: skip
    incident = open_record(working, opening)
    joined = [*_copied(working, letter, incident)]
    if by_machine and letter.sender is not None:  # it may be answered by a person, and never by the desk (G8)
        joined.append(Participant(incident.id, letter.sender.id, "", "machine", arrival.received_at))
    change = Change(incident, arrival.received_at, entries=[_message_in(working, letter, None)], participants=joined)
    incident = apply(working, change)
    _acknowledge(working, letter, incident, reopened=False)
    return incident


def _acknowledge(working: Working, letter: Letter, incident: Incident, *, reopened: bool) -> None:
    """Answer the person who opened or reopened a record, once; never a machine (A33)."""
    desk, mail = working.desk, letter.mail
    reason = why_unanswered(
        mail, letter.mailbox, own_addresses=frozenset(desk.addresses), own_instance=desk.instance
    )
    if reason is not None or letter.sender is None or not letter.sender.address:
        return
    promises = [
        [target.name.removeprefix("sla."), stamp(target.due_at)] for target in working.live_targets(incident.id, "sla.")
    ]
    facts = {"understood": incident.title, "promises": promises, "reopened": reopened}
    notify = Notify(NoticeKind.ACKNOWLEDGEMENT, letter.sender.id, letter.sender.address, facts)
    apply(working, Change(incident, letter.arrival.received_at, notify=[notify]))


# ---------------------------------------------------------------------- parts of both


def _author(working: Working, letter: Letter) -> Author:
    """The sender as an author. A From proves nothing, so it gives no roles: what a mail does, the desk's rules do."""
    if letter.sender is None:
        return working.desk.machine
    return Author(letter.sender.id, letter.sender.name, frozenset(), human=False)


def _message_in(working: Working, letter: Letter, thread: Thread | None) -> Entry:
    """The entry of a mail. ``identity`` says when it came from another address than the token was given to (A19)."""
    mail, sender = letter.mail, letter.sender
    values: Values = {
        "from": None if sender is None else sender.id,
        "subject": mail.subject,
        "text": mail.new_text or mail.text,
        "receipt": letter.arrival.id,
        "message_id": mail.message_id,
    }
    if mail.automatic is not None:
        values["automatic"] = mail.automatic
    if mail.notes:
        values["notes"] = list(mail.notes)
    if mail.attachments:
        values["attachments"] = [[part.name, part.type, part.size, part.sha256] for part in mail.attachments]
    if thread is not None:
        values["joined_by"] = thread.reason
        if thread.person is not None and (sender is None or thread.person != sender.id):
            values["identity"] = "another sender than the one we wrote to"
    author = _author(working, letter)
    at_work = sender is not None and sender.handle is not None
    visibility = "internal" if at_work else "public"
    return Entry(EntryKind.MESSAGE_IN, author.person, values, letter.arrival.received_at, visibility=visibility)


def _copied(working: Working, letter: Letter, incident: Incident) -> Sequence[Participant]:
    """People in To and Cc become watchers where policy says so, never our own addresses (A17)."""
    if not letter.mailbox.watchers:
        return ()
    at, desk = letter.arrival.received_at, working.desk
    people = []
    for one in letter.mail.copied:
        parsed = parse_address(one.address)
        if parsed is None or desk.mailbox_at(parsed.normal) is not None:
            continue
        person = working.person_at(one.address, one.name)
        if person.id != incident.requester:
            people.append(Participant(incident.id, person.id, "", "watcher", at))
    return people


def _watch(working: Working, record: int | None, mailbox: DeskMailbox, arrival: Arrival) -> None:
    """A copy to another of our addresses: that address watches (A4)."""
    incident = None if record is None else working.incident(record)
    if incident is not None and incident.mailbox != mailbox.name:
        working.join(Participant(incident.id, 0, mailbox.name, "watcher", arrival.received_at))


def _index(working: Working, letter: Letter, incident: Incident) -> None:
    """Remember every Message-ID of a mail, so that whoever answers any of them joins the record (A21, A27)."""
    mail, at = letter.mail, letter.arrival.received_at
    own = (mail.message_id,) if mail.message_id else ()
    for message_id in (*own, *list(referred(mail))[:MOST_REFERENCES]):
        name = f"mail:{message_id}"
        if ours(message_id, working.desk) is None and working.key(name) is None:
            signals = 1 if message_id == mail.message_id else 0
            working.put_key(
                FoldKey(name, incident.id, at, "mail", letter.arrival.id, b"", own_start=False, last_seen_at=at,
                        signals=signals)
            )  # fmt: skip
