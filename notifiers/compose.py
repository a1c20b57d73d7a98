"""A notification into the bytes of a mail: the same bytes each time, with exactly the headers that stand here.

Composing needs nothing but its arguments, so a mail composed twice at one instant is equal, and resending after a
crash cannot differ. Message-IDs come from the outbox row, where the decision fixed them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

from incidents.effects import NoticeKind, Outgoing
from incidents.story import Story
from kit.text import header_text
from kit.tokens import Keyring, Purpose, Token
from notifiers.mime import address_header, alternative, date_header, ids_header, sound_ids, text_header
from notifiers.render import render
from notifiers.voice import Voice
from notifiers.wording import Telling, words_for

#: Names the desk in every mail that it sends, so that it knows its own when one comes back (A36).
INSTANCE_HEADER = "X-Triaged-Instance"
_MOST_REFERENCES = 20
_LOCAL_PART_LIMIT = 64  # see rfc5321 4.5.3.1.1


def compose(outgoing: Outgoing, story: Story, voice: Voice, *, now: datetime, keyring: Keyring) -> bytes:
    """The mail, headers and both forms of its body. Raises a `NotifierError` where it can never be sent."""
    words = words_for(Telling(outgoing, story, voice, now, keyring))
    words["subject"] = _subject(words)
    headers = "\r\n".join(_headers(outgoing, story, voice, now=now, keyring=keyring, subject=words["subject"]))
    boundary = "=_" + hashlib.sha256(outgoing.message_id.encode()).hexdigest()[:32]
    content = f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
    body = alternative(boundary, render(outgoing.kind, "txt", words), render(outgoing.kind, "html", words))
    return f"{headers}\r\n{content}{body}".encode("ascii")


def _subject(words: dict[str, str]) -> str:
    return f"[{words['ref'] or words['desk']}] {words.get('counted') or words['title']}"


def _headers(
    outgoing: Outgoing, story: Story, voice: Voice, *, now: datetime, keyring: Keyring, subject: str
) -> Iterator[str]:
    own = _own_address(story, voice)
    yield address_header("From", own, header_text(voice.sender.name) or voice.name)
    name = story.person.name
    yield address_header("To", outgoing.recipient, "" if name == outgoing.recipient else name)
    reply_to = _reply_address(outgoing, story, own, keyring)
    if reply_to is not None:
        yield address_header("Reply-To", reply_to)
    yield text_header("Subject", subject)
    yield date_header(now)
    yield ids_header("Message-ID", [outgoing.message_id])
    yield from _thread(outgoing)
    yield f"{INSTANCE_HEADER}: {voice.instance}"
    if outgoing.kind != NoticeKind.REPLY:  # a person wrote it
        replied = outgoing.kind == NoticeKind.ACKNOWLEDGEMENT
        yield f"Auto-Submitted: {'auto-replied' if replied else 'auto-generated'}"  # see rfc3834 5
        yield "X-Auto-Response-Suppress: All"
        yield f"X-Loop: {voice.instance}"


def _own_address(story: Story, voice: Voice) -> str:
    """The desk address that the record speaks from."""
    mailbox = story.incident.mailbox if story.incident else None
    return voice.addresses.get(mailbox or "", voice.sender.address)


def _reply_address(outgoing: Outgoing, story: Story, own: str, keyring: Keyring) -> str | None:
    """Where an answer finds the record by itself; None for a notice of many, or where the address has no room."""
    if story.incident is None:
        return None
    local, _, domain = own.rpartition("@")
    token = keyring.sign(Token(Purpose.REPLY, story.incident.id, outgoing.person))
    local = f"{local}+{token}"
    return f"{local}@{domain}" if len(local) <= _LOCAL_PART_LIMIT else None


def _thread(outgoing: Outgoing) -> Iterator[str]:
    """What keeps the mails of a record together in mail clients; the first reference is the record's root (A32)."""
    replied_to = sound_ids([outgoing.facts.get("in_reply_to") or ""])
    if replied_to:
        yield ids_header("In-Reply-To", replied_to)
    references = sound_ids(outgoing.facts.get("references") or ())
    if references:
        yield ids_header("References", [references[0], *references[1:][-_MOST_REFERENCES:]])
