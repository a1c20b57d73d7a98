"""What a door accepts: a receipt. Nothing is parsed here that the answer does not need."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from desk.errors import DeskError

_FIELD = re.compile(rb"^(message-id|date|from)[ \t]*:", re.IGNORECASE)


class Receipt(NamedTuple):
    """What one door accepted in one act: the raw bytes as they came, and what the envelope said.

    ``key`` is the only thing that collapses repeats before the yes; None where the sender gave nothing to tell by.
    ``envelope`` is a JSON object: for a mail ``{"from", "to": [desk addresses with their plus parts], "peer", "tls",
    "user"}``, for a POST ``{"type", "peer"}``.
    """

    source: str
    format: str
    received_at: datetime
    envelope: Mapping[str, Any]
    body: bytes
    key: bytes | None


class Kept(NamedTuple):
    """The committer's answer: the receipt's id, and whether it was there already."""

    id: int
    repeated: bool


class NotKept(DeskError):
    """The receipt could not be kept now; the sender should try again."""

    code = "store.unavailable"
    permanent = False


#: How a listener has a receipt kept; the answer comes after the commit. Raises `NotKept`.
Keep = Callable[[Receipt], Awaitable[Kept]]


def mail_receipt_key(body: bytes, desk_addresses: Iterable[str]) -> bytes | None:
    """SHA-256 over the sorted desk addresses, the bytes after the first empty line, and the Message-ID line.

    The same by every door; see docs/sources.md, A4 and A5. None where the mail has neither Message-ID nor Date.
    """
    content = mail_signal_key(body)
    if content is None:
        return None
    return hashlib.sha256("\n".join(sorted(set(desk_addresses))).encode() + b"\n\n" + content).digest()


def mail_signal_key(body: bytes) -> bytes | None:
    """The same without the desk addresses: equal for a copy that went to another of our addresses."""
    body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in body else body
    head, _, rest = body.partition(b"\n\n")
    named = _named_fields(head)
    if b"message-id" in named:
        line = b"message-id:" + named[b"message-id"]
    elif b"date" in named:
        line = b"date:" + named[b"date"] + b"\nfrom:" + named.get(b"from", b"")
    else:
        return None
    return hashlib.sha256(line + b"\n\n" + rest).digest()


def _named_fields(head: bytes) -> dict[bytes, bytes]:
    """The first Message-ID, Date and From of a header block, unfolded, found by scanning lines."""
    found: dict[bytes, bytes] = {}
    name = None
    for line in head.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if name is not None:
                found[name] += b" " + line.strip()
            continue
        match = _FIELD.match(line)
        name = match[1].lower() if match and match[1].lower() not in found else None
        if name is not None and match is not None:
            found[name] = line[match.end() :].strip()
    return found


def post_receipt_key(source: str, sender_id: str | None, body: bytes) -> bytes | None:
    """SHA-256 of source, the sender's own id and the body; None without an id, for equal bodies say "still so"."""
    if not sender_id:
        return None
    digest = hashlib.sha256()
    for part in (source.encode(), sender_id.encode("utf-8", "surrogatepass"), body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
