"""Mail: what a person, or another desk's machine, sent by mail. Pure, bounded, and never surprised."""

# ruff: noqa: RUF001 - other languages have letters and colons of their own
from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from incidents.signal import Mail, Mailbox
from ingest.automatic import automatic_reason, spam_mark, verified_sender, wants_no_answer
from ingest.content import Content, read_content
from ingest.mime import Fields, Reading, first, header_line, read_mail
from ingest.quotes import Split, split_reply
from ingest.reports import guess_report, is_from_mail_system, read_report
from ingest.senders import instant_of, mailboxes, message_id_of, message_ids, references_of, sender_of
from ingest.spec import Shape
from kit.addresses import normal_address

NO_SUBJECT = "(no subject)"
SUBJECT_MAX = 500
PEOPLE_MAX = 500

_DESTINATIONS = ("resent-to", "envelope-to", "to", "cc", "delivered-to", "x-original-to")
_REPLY_SUBJECT = re.compile(r"(?:re|aw|sv|vs|antw|rif|odp|ynt|答复|回复|回覆)(?:\[\d+\])?\s*[:：]", re.IGNORECASE)
_FORWARD_SUBJECT = re.compile(r"(?:fwd?|wg|tr|i|enc|doorst|vb|转发|轉寄)(?:\[\d+\])?\s*[:：]", re.IGNORECASE)


def shape(body: bytes) -> Shape:  # noqa: ARG001 - the contract of every format
    """A mail is one item, whatever is in it."""
    return Shape(1)


def parse(body: bytes, envelope: Mapping[str, Any], *, trust: str | None = None) -> Mail:
    """The mail, cleaned. Never raises for what stands in it.

    ``trust`` is the authserv-id of the hop whose results and spam marks count (see rfc8601); None trusts none.
    """
    reading = Reading(body)
    root = read_mail(reading)
    fields = root.fields
    content = read_content(reading, root)
    subject = header_line(first(fields, "subject"), SUBJECT_MAX) or NO_SUBJECT
    text = content.text()
    split = _split(content, text) if _follows(fields, subject) else Split(text, "")
    sender = sender_of(fields)
    address = sender.address if sender else None
    automatic = automatic_reason(root, sender=address, envelope_from=envelope.get("from"))
    report = read_report(reading, root)
    if report is None and is_from_mail_system(fields, envelope.get("from")):
        report = guess_report(reading, root, subject, text)
    recipients = _recipients(fields, envelope)
    if any(page.truncated for page in content.pages.values()):
        reading.note("content truncated: the HTML was longer than is read")
    return Mail(
        sender=sender or _envelope_sender(envelope),
        recipients=recipients,
        subject=subject,
        sent_at=instant_of(first(fields, "date")),
        message_id=message_id_of(fields) or f"sha256-{hashlib.sha256(body).hexdigest()}@no-message-id",
        in_reply_to=next(iter(message_ids(fields.get("in-reply-to", []))), None),
        references=references_of(fields),
        text=text,
        new_text=split.new_text,
        quoted=split.quoted,
        html=content.html,
        attachments=content.attachments(new=bool(split.quoted)),
        automatic=None if automatic is None else str(automatic),
        bounce=None if report is None else report.recipients,
        bounced_message_id=None if report is None else report.message_id,
        copied=_copied(fields, recipients),
        spam=spam_mark(fields, trust),
        verified=verified_sender(fields, trust, address),
        hops=len(fields.get("received", ())),
        auto_reply_suppressed=wants_no_answer(fields),
        notes=tuple(reading.notes),
    )


def _follows(fields: Fields, subject: str) -> bool:
    """Whether a mail answers another; one that passes it on is to be read whole."""
    if _FORWARD_SUBJECT.match(subject):
        return False
    return "in-reply-to" in fields or "references" in fields or _REPLY_SUBJECT.match(subject) is not None


def _split(content: Content, text: str) -> Split:
    """A reply in two: by the marks of plain text where there is any, and by those of the HTML."""
    split = split_reply(text)
    if content.has_plain and split.quoted:
        return split
    marked = content.marked()
    if marked is None:
        return split
    new, quoted = split_reply(marked.new_text)
    return Split(new, "\n\n".join(piece for piece in (quoted, marked.quoted) if piece))


def _envelope_sender(envelope: Mapping[str, Any]) -> Mailbox | None:
    """Who a mail without any From is from: what the Return-Path would say (A12)."""
    address = normal_address(str(envelope.get("from") or ""))
    return Mailbox(address) if address else None


def _recipients(fields: Fields, envelope: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses of the envelope; where it names none, those of the first field that does (A11)."""
    given = [normal for one in envelope.get("to") or () if (normal := normal_address(str(one)))]
    if given:
        return tuple(dict.fromkeys(given))
    for name in _DESTINATIONS:
        found = [mailbox.address for value in fields.get(name, ()) for mailbox in mailboxes(value)]
        if found:
            return tuple(dict.fromkeys(found[:PEOPLE_MAX]))
    return ()


def _copied(fields: Fields, recipients: tuple[str, ...]) -> tuple[Mailbox, ...]:
    """The other people in To and Cc."""
    found: dict[str, Mailbox] = {}
    for name in ("to", "cc"):
        for value in fields.get(name, ())[:PEOPLE_MAX]:
            for mailbox in mailboxes(value):
                if mailbox.address not in recipients and len(found) < PEOPLE_MAX:
                    found.setdefault(mailbox.address, mailbox)
    return tuple(found.values())
