"""Header fields of a mail as values: people, identifiers, instants. Everything is data, and much of it is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

from incidents.signal import Mailbox
from ingest.charsets import decode_words, raw_text
from ingest.mime import Fields
from kit.addresses import normal_address
from kit.text import header_text

ADDRESSES_MAX = 500
REFERENCES_MAX = 50
_ID_MAX = 998
_NAME_MAX = 1000

_TOKEN = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"?'  # a quoted string
    r"|\([^()\\]*(?:\\.[^()\\]*)*\)?"  # a comment
    r"|<[^<>]*>?"  # an address
    r"|[,;]"
    r'|[^",;<(]+',
    re.DOTALL,
)
_LOOKS_LIKE = re.compile(r"[^\s<>,;:\"()@]{1,64}@[^\s<>,;:\"()@]{1,255}")
_QUOTED_LOCAL = re.compile(r'"[^"\\@]{1,64}"@[A-Za-z0-9.\-]{1,255}')
_ID = re.compile(r"<([^<>\s]{1,998})>")
_DATE = re.compile(
    r"(\d{1,2})[ -]+([A-Za-z]{3})[a-z]*[ -]+(\d{4})\s+(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s*([+-]\d{4})|\s*([A-Z]{1,5}))?"
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_FIRST_YEAR = 1980


def sender_of(fields: Fields) -> Mailbox | None:
    """Who a mail is from: the first field of the chain in which an address can be found (A12)."""
    for name in ("from", "reply-to", "return-path", "sender"):
        for value in fields.get(name, ()):
            for mailbox in mailboxes(value):
                return mailbox
    return None


def mailboxes(value: bytes) -> list[Mailbox]:
    """The people that an address field names, at most ``ADDRESSES_MAX``; what is no address is left out."""
    found: list[Mailbox] = []
    before = ""
    for tokens in _entries(raw_text(value)):
        text = "".join(tokens)
        if "@" not in text:
            before = f"{before}{text}, "[:_NAME_MAX] if text.strip() else before
            continue
        mailbox = _mailbox(tokens, before)
        before = ""
        if mailbox is not None:
            found.append(mailbox)
            if len(found) == ADDRESSES_MAX:
                break
    return found


def _entries(text: str) -> Iterator[list[str]]:
    """The tokens of each entry of a list; commas inside quotes and comments do not part it."""
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in (",", ";"):
            yield tokens
            tokens = []
        else:
            tokens.append(token)
    yield tokens


def _mailbox(tokens: list[str], before: str) -> Mailbox | None:
    """One person: the address in brackets, else the first thing that looks like one; the rest is the name."""
    angle = next((token for token in reversed(tokens) if token.startswith("<") and "@" in token), None)
    rest = [token for token in tokens if not token.startswith("<")]
    if angle is not None:
        address = _address(angle.strip("<> \t"))
        name = "".join(_unquoted(token) for token in rest if not token.startswith("("))
    else:
        bare = "".join(token for token in rest if not token.startswith("("))
        address = _address(bare.strip())
        name = " ".join(token.strip("() ") for token in rest if token.startswith("("))
    if address is None:
        return None
    name = header_text(decode_words(before + name))
    return Mailbox(address, "" if name.lower() == address else name)


def _unquoted(token: str) -> str:
    """The text of a quoted string, with or without its last quote; any other token as it is."""
    if not token.startswith('"'):
        return token
    return re.sub(r"\\(.)|\"", r"\1", token[1:])


def _address(text: str) -> str | None:
    """The normal form of what is, or holds, an address; local parts in quotes stay as they are."""
    text = text.removeprefix("mailto:")
    normal = normal_address(text)
    if normal is not None:
        return normal
    if _QUOTED_LOCAL.fullmatch(text):
        return text.lower()
    held = _LOOKS_LIKE.search(decode_words(text))
    return normal_address(held[0]) if held else None


def message_ids(values: list[bytes]) -> list[str]:
    """The identifiers in brackets, in order."""
    return [header_text(found, _ID_MAX) for value in values for found in _ID.findall(raw_text(value))]


def message_id_of(fields: Fields) -> str | None:
    """The first valid Message-ID, without brackets; one that came without them is taken as it is."""
    values = fields.get("message-id", [])
    for found in message_ids(values):
        return found
    bare = header_text(raw_text(values[0]), _ID_MAX).strip("<>") if values else ""
    return bare if bare and " " not in bare else None


def references_of(fields: Fields) -> tuple[str, ...]:
    """What a mail follows, oldest first: the first one and the newest stay when there are too many."""
    found = list(dict.fromkeys(message_ids(fields.get("references", [])) + message_ids(fields.get("in-reply-to", []))))
    if len(found) > REFERENCES_MAX:
        found = found[:1] + found[-(REFERENCES_MAX - 1) :]
    return tuple(found)


def instant_of(value: bytes) -> datetime | None:
    """The Date of a mail; None where it is none, or of a year before mail (fault 38: year 1 is not 2001).

    >>> instant_of(b"Mon, 23 Nov 2026 09:00:00 +0100").isoformat()
    '2026-11-23T08:00:00+00:00'
    """
    found = _DATE.search(value[:200].decode("ascii", "replace"))
    if found is None:
        return None
    day, month, year, hour, minute, second, offset, zone = found.groups()
    if month.lower() not in _MONTHS or int(year) < _FIRST_YEAR:
        return None
    away = timedelta(hours=_ZONES.get(zone or "", 0))
    if offset:
        away = timedelta(hours=int(offset[:3]), minutes=int(offset[0] + offset[3:]))
    try:
        moment = datetime(
            int(year), _MONTHS.index(month.lower()) + 1, int(day), int(hour), int(minute), min(int(second or 0), 59),
            tzinfo=timezone(away),
        )  # fmt: skip
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
