"""Delivery reports: which recipient a mail of ours did not reach, and which mail it was (A39 to A41)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from incidents.signal import Bounce
from ingest.charsets import raw_text
from ingest.mime import Fields, Part, Reading, content_of, first, header_line, read_fields
from ingest.senders import mailboxes, message_id_of, message_ids, references_of
from kit.addresses import normal_address
from kit.text import header_text

RECIPIENTS_MAX = 100
_REPORT_MAX = 256 * 1024
_HEADER_MAX = 64 * 1024
_TEXT_MAX = 200_000
_REASON_MAX = 500
_UNDELIVERED = frozenset({"failed", "delayed"})
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_OTHER_REPORT_TYPES = ("message/disposition-notification", "message/feedback-report")
_COPY_TYPES = (
    "message/rfc822", "message/global", "text/rfc822-headers", "text/rfc822-header", "message/global-headers",
    "message/partial",
)  # fmt: skip
#: Statuses that say that there is no such address or host (A39); see rfc3463 3.2, and Exchange's own 5.1.351.
_NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.1.351", "5.4.4"})

_STATUS = re.compile(r"(?<![\d.\-])([45]\.\d{1,3}\.\d{1,3})(?![.\-]?\d)")
_REPLY_CODE = re.compile(r"(?<![\d.])([45])\d\d(?=[ \-:])")
_SAYS_UNDELIVERED = re.compile(
    r"undeliver|not (?:be )?(?:\w{1,12} )?delivered|n.t be delivered|unable to (?:deliver|send)|cannot be sent"
    r"|delivery (?:has |to the .{0,60} )?(?:failed|failure|problem|status|report)|returned mail"
    r"|returning (?:message|mail)"
    r"|mail (?:delivery|system|failure)|failure notice|permanent (?:fatal )?error|trouble delivering"
    r"|error sending your mail|non.?delivery|unzustellbar|konnte nicht zugestellt|impossible de remettre"
    r"|no se (?:ha )?(?:pudo|podido) entregar|не доставлено|不達|退信",
    re.IGNORECASE,
)
_NO_ADDRESS = re.compile(
    r"(?:user|mailbox|address|recipient|account|host|domain)[^\n]{0,40}"
    r"(?:unknown|not (?:be )?(?:found|exist)|does ?n.t (?:exist|have)|does not exist"
    r"|no longer (?:valid|exist|available))"
    r"|(?:no such|unknown|invalid) (?:local )?(?:user|mailbox|address|person|recipient|domain|host)"
    r"|unrouteable address|user doesn.t have|host does not accept mail"
    r"|(?:couldn.t|could not) find (?:any|a) (?:host|mail exchanger)|adresse destinataire invalide",
    re.IGNORECASE,
)
_NOT_FOR_EVER = re.compile(
    r"full|quota|temporar|try again|greylist|too (?:large|big|many)|size|spam|blocked|black ?list|virus|policy"
    r"|relay|access denied|sender|ptr|reverse dns|disabled|inactive|suspend|expired",
    re.IGNORECASE,
)
_MAIL_SYSTEM = re.compile(r"mailer-daemon|postmaster@|mail delivery", re.IGNORECASE)
_ADDRESS = re.compile(r"<?([^\s<>\"();:,@\[\]]{1,64}@[\w.-]{1,255})>?")
_COPIED_ID = re.compile(r"^[> \t]{0,10}Message-ID:\s{0,10}<([^<>\s]{1,998})>", re.IGNORECASE | re.MULTILINE)


class Report(NamedTuple):
    """What a report says: the recipients not reached, and the Message-ID of the mail.

    No recipients: a receipt, a complaint, or news of a mail that arrived.
    """

    recipients: tuple[Bounce, ...]
    message_id: str | None


def read_report(reading: Reading, mail: Part) -> Report | None:
    """The report in its standard form (see rfc3464 2, rfc8098 3, rfc5965 2); None when the mail carries none."""
    parts = list(_leaves(mail))
    status = next((part for part in parts if part.type in _STATUS_TYPES), None)
    if status is None:
        other = mail.type == "multipart/report" and any(part.type in _OTHER_REPORT_TYPES for part in parts)
        return Report((), _original_id(reading, parts)) if other else None
    said = content_of(reading.body, status)[:_REPORT_MAX].replace(b"\r\n", b"\n")
    groups = [read_fields(group) for group in said.split(b"\n\n", RECIPIENTS_MAX + 1) if group.strip()]
    found = [bounce for bounce in map(_recipient, groups[: RECIPIENTS_MAX + 1]) if bounce is not None]
    return Report(tuple(found), _original_id(reading, parts))


def _leaves(mail: Part) -> Iterator[Part]:
    """The parts without parts of their own, in order."""
    stack = [mail]
    while stack:
        part = stack.pop()
        if part.parts:
            stack.extend(reversed(part.parts))
        else:
            yield part


def _recipient(group: Fields) -> Bounce | None:
    """One group of fields about one recipient; None where it is about another thing or the mail arrived."""
    named = raw_text(first(group, "original-recipient") or first(group, "final-recipient"))
    found = _ADDRESS.search(named.rpartition(";")[2])
    address = normal_address(found[1]) if found else None
    action = raw_text(first(group, "action")).strip().lower()
    if address is None or action not in _UNDELIVERED:
        return None
    reason = header_line(first(group, "diagnostic-code"), _REASON_MAX)
    dsn = _status_of(raw_text(first(group, "status")), reason)
    return Bounce(address, dsn, hard=action == "failed" and _is_hard(dsn, reason), reason=reason or action)


def _status_of(*texts: str) -> str:
    """The status code that says most: the first that is more than "other" (X.0.0); empty where there is none."""
    found = [code for text in texts for code in _STATUS.findall(text)]
    return next((code for code in found if not code.endswith(".0.0")), found[0] if found else "")


def _is_hard(dsn: str, reason: str) -> bool:
    """Whether no mail should go there any more: there is no such address, now or later."""
    if dsn.startswith("4") or _NOT_FOR_EVER.search(reason):
        return False
    return dsn in _NO_SUCH_ADDRESS or _NO_ADDRESS.search(reason) is not None


def _original_id(reading: Reading, parts: list[Part]) -> str | None:
    """The Message-ID of the mail that the report is about, from the copy that it carries."""
    for part in parts:
        if part.type == "message/disposition-notification":
            said = read_fields(content_of(reading.body, part)[:_HEADER_MAX])
            return next(iter(message_ids(said.get("original-message-id", []))), None)
        if part.type in _COPY_TYPES or (part.type == "text/plain" and b"attachment" in _disposition(part)):
            head = content_of(reading.body, part)[:_HEADER_MAX].replace(b"\r\n", b"\n").lstrip(b"\n")
            found = message_id_of(read_fields(head.partition(b"\n\n")[0]))
            if found is not None:
                return found
    return None


def _disposition(part: Part) -> bytes:
    return first(part.fields, "content-disposition").lower()


def is_from_mail_system(fields: Fields, envelope_from: object) -> bool:
    """Whether a mail may be a report at all: from the null sender or from the mail system's own addresses."""
    null = envelope_from == "" or any(value.strip() == b"<>" for value in fields.get("return-path", ()))
    return null or _names_mail_system(fields)


def _names_mail_system(fields: Fields) -> bool:
    """Whether a mail says that the mail system wrote it; printers and monitors use the null sender, too."""
    said = raw_text(first(fields, "from"))
    return not said or _MAIL_SYSTEM.search(said) is not None or "x-failed-recipients" in fields


def guess_report(reading: Reading, mail: Part, subject: str, text: str) -> Report | None:
    """The report that a mail system wrote in a form of its own; None where nothing says that it is one (A40)."""
    fields = mail.fields
    failed = raw_text(first(fields, "x-failed-recipients"))
    if not failed and not _SAYS_UNDELIVERED.search(subject) and not _SAYS_UNDELIVERED.search(text[:2000]):
        return None
    copied = _COPIED_ID.search(text[:_TEXT_MAX])
    before_copy = text[: min(copied.start() if copied else 20_000, 20_000)]
    addresses = _named_in(failed) or [one for one in _named_in(before_copy[:5000]) if one not in _own(fields)][:1]
    if not addresses:
        return None
    reason = header_text(_first_reason(before_copy), _REASON_MAX)
    reply = _REPLY_CODE.search(reason)
    dsn = _status_of(reason) or (f"{reply[1]}.0.0" if reply else "")
    bounces = tuple(Bounce(address, dsn, hard=_is_hard(dsn, reason), reason=reason) for address in addresses)
    found = copied[1] if copied else _original_id(reading, list(_leaves(mail)))
    found = found or next(reversed(references_of(fields)), None)
    if found is None and not _names_mail_system(fields):
        return None  # a monitor may tell of an undelivered mail, too
    return Report(bounces, found)


def _named_in(text: str) -> list[str]:
    found = (normal_address(match[1].rstrip(".")) for match in _ADDRESS.finditer(text))
    return list(dict.fromkeys(address for address in found if address))[:RECIPIENTS_MAX]


def _own(fields: Fields) -> set[str]:
    """Whom the report was sent to: not the one that was not reached."""
    return {person.address for name in ("to", "from", "envelope-to", "delivered-to") for value in fields.get(name, ())
            for person in mailboxes(value)}  # fmt: skip


def _first_reason(text: str) -> str:
    """The line that tells why: the first that says so, else the first with a code."""
    lines = [line.strip() for line in text.split("\n", 500) if line.strip()]
    for pattern in (_STATUS, _NO_ADDRESS, _REPLY_CODE, _SAYS_UNDELIVERED):
        for line in lines:
            if pattern.search(line):
                return line
    return ""
