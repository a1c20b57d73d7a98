"""Delivery reports: which recipient a mail of ours did not reach, and which mail it was (A39, A40)."""

from __future__ import annotations

import re
from typing import NamedTuple

from incidents.signal import Bounce
from ingest.charsets import raw_text
from ingest.mime import Fields, Part, Reading, content_of, first, header_line, read_fields
from ingest.senders import message_id_of
from kit.addresses import normal_address
from kit.text import header_text

RECIPIENTS_MAX = 100
_REPORT_MAX = 256 * 1024
_HEADER_MAX = 64 * 1024
_UNDELIVERED = frozenset({"failed", "delayed"})
#: Statuses that say that there is no such address; a full mailbox or a refused content is not forever (A39).
_NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})

_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_REPLY_CODE = re.compile(r"\b([45])\d\d[ -]")
_SAYS_UNDELIVERED = re.compile(
    r"undeliver|not (?:be )?delivered|delivery (?:has |to the .{0,60} )?failed|returned mail|mail delivery (?:failed|system)"
    r"|failure notice|delivery status notification|permanent (?:fatal )?error|unzustellbar",
    re.IGNORECASE,
)
_NO_USER = re.compile(
    r"(?:user|mailbox|address|recipient)[^\n]{0,40}(?:unknown|not (?:found|exist)|does ?n.t exist|no longer|rejected)"
    r"|no such (?:user|mailbox|address|person)|unknown (?:user|recipient|address)|unrouteable address",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"<?([^\s<>\"();:,@]{1,64}@[\w.-]{1,255})>?")
_COPIED_ID = re.compile(r"^[> \t]{0,10}Message-ID:\s{0,10}<([^<>\s]{1,998})>", re.IGNORECASE | re.MULTILINE)


class Report(NamedTuple):
    """What a delivery report says: the recipients not reached, and the Message-ID of the mail."""

    recipients: tuple[Bounce, ...]
    message_id: str | None


def read_report(reading: Reading, mail: Part) -> Report | None:
    """The report that a multipart/report carries; None when this is none about delivery."""
    if mail.type != "multipart/report":
        return None
    status = next((part for part in mail.parts if part.type in _STATUS_TYPES), None)
    if status is None:
        return None
    said = content_of(reading.body, status)[:_REPORT_MAX].replace(b"\r\n", b"\n")
    groups = [read_fields(group) for group in said.split(b"\n\n", RECIPIENTS_MAX + 1) if group.strip()]
    found = [bounce for bounce in map(_recipient, groups[: RECIPIENTS_MAX + 1]) if bounce is not None]
    return Report(tuple(found), _original_id(reading, mail))


_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_COPY_TYPES = (
    "message/rfc822", "message/global", "text/rfc822-headers", "text/rfc822-header", "message/global-headers",
    "message/partial",
)  # fmt: skip


def _recipient(group: Fields) -> Bounce | None:
    """One group of fields about one recipient; None where it is about another thing or the mail arrived."""
    named = raw_text(first(group, "original-recipient") or first(group, "final-recipient"))
    found = _ADDRESS.search(named.rpartition(";")[2])
    address = normal_address(found[1]) if found else None
    action = raw_text(first(group, "action")).strip().lower()
    if address is None or action not in _UNDELIVERED:
        return None
    reason = header_line(first(group, "diagnostic-code"), 500)
    code = _STATUS.search(raw_text(first(group, "status"))) or _STATUS.search(reason)
    dsn = code[1] if code else ""
    return Bounce(address, dsn, hard=action == "failed" and dsn in _NO_SUCH_ADDRESS, reason=reason or action)


def _original_id(reading: Reading, mail: Part) -> str | None:
    """The Message-ID of the mail that the report is about, from the copy that it carries."""
    for part in mail.parts:
        if part.type in _COPY_TYPES:
            head = content_of(reading.body, part)[:_HEADER_MAX].replace(b"\r\n", b"\n").lstrip(b"\n")
            found = message_id_of(read_fields(head.partition(b"\n\n")[0]))
            if found is not None:
                return found
    return None


def guess_report(fields: Fields, subject: str, text: str) -> Report | None:
    """The report that a mail system wrote in a form of its own; None where nothing says that it is one (A40)."""
    beginning = text[:20_000]
    failed = raw_text(first(fields, "x-failed-recipients"))
    if not failed and not _SAYS_UNDELIVERED.search(subject) and not _SAYS_UNDELIVERED.search(beginning[:2000]):
        return None
    copied = _COPIED_ID.search(text[:200_000])
    before_copy = beginning[: copied.start()] if copied else beginning
    addresses = [found[1] for found in _ADDRESS.finditer(failed or before_copy[:5000])]
    normal = dict.fromkeys(address for address in map(normal_address, addresses[:20]) if address)
    if not normal:
        return None
    status, reply = _STATUS.search(before_copy), _REPLY_CODE.search(before_copy)
    dsn = status[1] if status else f"{reply[1]}.0.0" if reply else ""
    hard = dsn in _NO_SUCH_ADDRESS or (not dsn.startswith("4") and _NO_USER.search(before_copy) is not None)
    reason = header_text(_first_reason(before_copy), 500)
    recipients = list(normal) if failed else list(normal)[:1]
    return Report(
        tuple(Bounce(address, dsn, hard=hard, reason=reason) for address in recipients),
        copied[1] if copied else None,
    )


def _first_reason(text: str) -> str:
    """The line that tells why: the first with a code, else the first that says so."""
    lines = [line.strip() for line in text.split("\n", 500) if line.strip()]
    for pattern in (_STATUS, _NO_USER, _REPLY_CODE, _SAYS_UNDELIVERED):
        for line in lines:
            if pattern.search(line):
                return line
    return ""
