"""Which record a mail belongs to: decided in the order of A19 to A27, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from desk.context import Desk
from desk.working import Working
from incidents.incident import Incident
from incidents.person import Person
from incidents.signal import Mail
from kit.addresses import parse_address
from kit.tokens import Purpose, Token

_OURS = re.compile(r"([a-z2-7]{40})\.([0-9]{1,18})@(.+)", re.IGNORECASE)
_TAG = re.compile(r"\[(?:INC|REQ)-([0-9]{1,15})\]", re.IGNORECASE)


class ThreadReason(StrEnum):
    """Why a mail was folded, or only linked."""

    REPLY_ADDRESS = "reply_address"
    OUR_MESSAGE_ID = "our_message_id"
    KNOWN_MESSAGE_ID = "known_message_id"
    SUBJECT_TAG = "subject_tag"
    UNREADABLE_BEFORE = "unreadable_before"
    OTHER_DESK_ADDRESS = "other_desk_address"
    NOT_A_PARTICIPANT = "not_a_participant"
    SUBJECT_CHANGED = "subject_changed"


class Thread(NamedTuple):
    """The record that a mail speaks of; whether it joins it (else it is linked); the person that a token was for."""

    incident: Incident
    reason: ThreadReason
    joins: bool
    person: int | None = None


def ours(message_id: str | None, desk: Desk) -> tuple[str, int] | None:
    """The token and outbox row of a Message-ID of this very desk; another instance's never thread here (A23)."""
    match = _OURS.fullmatch(message_id or "")
    if match is None or match[3].lower() != f"{desk.instance}.{desk.domain}":
        return None
    return match[1].lower(), int(match[2])


def tokens_of(mail: Mail, desk: Desk) -> Iterator[tuple[str, ThreadReason]]:
    """Every token that a mail carries: plus-addresses first, then Message-IDs from the newest to the oldest."""
    for recipient in mail.recipients:
        parsed = parse_address(recipient)
        if parsed is not None and parsed.plus and desk.mailbox_at(parsed.normal):
            yield parsed.plus, ThreadReason.REPLY_ADDRESS
    for message_id in referred(mail):
        own = ours(message_id, desk)
        if own is not None:
            yield own[0], ThreadReason.OUR_MESSAGE_ID


def referred(mail: Mail) -> Iterable[str]:
    """The Message-IDs that a mail answers, the most telling first."""
    first = (mail.in_reply_to,) if mail.in_reply_to else ()
    return dict.fromkeys((*first, *reversed(mail.references)))


def tagged_number(subject: str) -> int | None:
    """The number of the last tag of ours in a subject (A22)."""
    found = _TAG.findall(subject)
    return int(found[-1]) if found else None


def find_thread(
    working: Working, mail: Mail, *, receipt: int, envelope: Mapping[str, Any], sender: Person | None
) -> Thread | None:
    """The record that a mail belongs to or should be linked with; None when it stands alone."""
    waiting = working.key(f"receipt:{receipt}")
    if waiting is not None and (record := working.incident(waiting.incident or 0)) is not None:
        return Thread(record, ThreadReason.UNREADABLE_BEFORE, joins=True)
    by_token = _by_token(working, mail)
    found = by_token or _by_known_message_id(working, mail) or _by_subject_tag(working, mail, sender)
    if found is None or not found.joins or found.reason is ThreadReason.REPLY_ADDRESS:
        return found
    if _addressed_elsewhere(working, found.incident, mail):
        return Thread(found.incident, ThreadReason.OTHER_DESK_ADDRESS, joins=False)
    mailbox = working.desk.policy.mailboxes.get(str(envelope.get("mailbox")))
    if mailbox is not None and mailbox.subject_must_match and not same_subject(found.incident.title, mail.subject):
        return Thread(found.incident, ThreadReason.SUBJECT_CHANGED, joins=False)
    return found


def _by_token(working: Working, mail: Mail) -> Thread | None:
    for text, reason in tokens_of(mail, working.desk):
        token = verified(text, working)
        record = None if token is None else working.incident(token.record)
        if token is not None and record is not None:
            return Thread(record, reason, joins=True, person=token.person)
    return None


def verified(text: str, working: Working) -> Token | None:
    """A reply token that this desk signed; an invalid one means no reply."""
    return working.desk.keyring.verify(text, Purpose.REPLY, working.now)


def _by_known_message_id(working: Working, mail: Mail) -> Thread | None:
    own = (mail.message_id,) if mail.message_id else ()
    for message_id in (*referred(mail), *own):
        key = working.key(f"mail:{message_id}")
        record = None if key is None else working.incident(key.incident or 0)
        if record is not None:
            return Thread(record, ThreadReason.KNOWN_MESSAGE_ID, joins=True)
    return None


def _by_subject_tag(working: Working, mail: Mail, sender: Person | None) -> Thread | None:
    """A number in a subject is a guess unless its author takes part in that record (fault 33)."""
    number = tagged_number(mail.subject)
    record = None if number is None else working.incident(working.numbers.get(number, 0))
    if record is None:
        return None
    joins = sender is not None and working.takes_part(record.id, sender.id)
    return Thread(record, ThreadReason.SUBJECT_TAG if joins else ThreadReason.NOT_A_PARTICIPANT, joins=joins)


def _addressed_elsewhere(working: Working, record: Incident, mail: Mail) -> bool:
    """Whether a mail went to another desk address, and to none that the record is at home or watched at (A20, A30)."""
    parsed = [parse_address(recipient) for recipient in mail.recipients]
    mailboxes = {working.desk.mailbox_at(one.normal) for one in parsed if one is not None} - {None}
    watching = {team for person, team, role in working.participants[record.id] if role == "watcher" and not person}
    own = {record.mailbox or next(iter(working.desk.addresses.values()), None), *watching}
    return bool(mailboxes) and not own & mailboxes


_PREFIX = re.compile(r"^\s*(?:(?:re|aw|fwd?|wg|sv|vs|antw|tr|rif|odp|ynt)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


def same_subject(title: str, subject: str) -> bool:
    """Whether a subject is a title with reply prefixes and our tag around it (A25).

    >>> same_subject("Printer", "AW: Re[2]: [INC-1] printer")
    True
    """

    def bare(text: str) -> str:
        before = None
        while before != text:
            before, text = text, _PREFIX.sub("", _TAG.sub("", text)).strip()
        return text.casefold()

    return bare(title) == bare(subject)
