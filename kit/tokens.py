"""One token format for links, reply addresses and Message-IDs: 25 bytes, 40 characters of lower-case base32.

Layout: key id (1 byte), purpose (1), record id (5), person id (4), expiry in hours since 1970 (3, zero: never),
tag (1), MAC (10: HMAC-SHA-256 cut to 80 bits). All fields are checked strictly, the MAC first and in constant time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

_HEAD = struct.Struct(">BBBIIHBB")  # key, purpose, record high and low, person, expiry high and low, tag
_MAC_BYTES = 10
_LENGTH = 40
_HOUR = timedelta(hours=1)


class Purpose(IntEnum):
    """What a token may be used for; a token for one purpose is refused for every other."""

    REPLY = 1  # a plus-address or a Message-ID: joins a mail to its record
    ACKNOWLEDGE = 2  # the link in an escalation
    FORM = 3  # the nonce of a form


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says, once it is verified. ``tag`` is free for its purpose (0 to 255)."""

    purpose: Purpose
    record: int
    person: int
    expires_at: datetime | None = None
    tag: int = 0


@dataclass(frozen=True, slots=True)
class Keyring:
    """Signing keys by id (0 to 255); the newest signs, all of them verify."""

    keys: Mapping[int, bytes]
    newest: int

    def sign(self, token: Token) -> str:
        """The 40 characters that carry ``token``; an expiry is rounded up to a whole hour."""
        hours = 0
        if token.expires_at is not None:
            hours = -((datetime(1970, 1, 1, tzinfo=UTC) - token.expires_at) // _HOUR)
        head = _HEAD.pack(
            self.newest, token.purpose, token.record >> 32, token.record & 0xFFFFFFFF, token.person,
            hours >> 8, hours & 0xFF, token.tag,
        )
        return base64.b32encode(head + self._mac(self.newest, head)).decode().lower()

    def verify(self, text: str, purpose: Purpose, now: datetime) -> Token | None:
        """The token that ``text`` carries, or None when it is forged, expired or for another purpose."""
        if len(text) != _LENGTH or not text.isascii():
            return None
        try:
            raw = base64.b32decode(text.upper())
        except ValueError:
            return None
        head, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if head[0] not in self.keys or not hmac.compare_digest(mac, self._mac(head[0], head)):
            return None
        _, said, high, low, person, hours_high, hours_low, tag = _HEAD.unpack(head)
        if said != purpose:
            return None
        hours = hours_high << 8 | hours_low
        expires_at = datetime(1970, 1, 1, tzinfo=UTC) + hours * _HOUR if hours else None
        if expires_at is not None and now >= expires_at:
            return None
        return Token(purpose, high << 32 | low, person, expires_at, tag)

    def _mac(self, key: int, head: bytes) -> bytes:
        return hmac.digest(self.keys[key], head, hashlib.sha256)[:_MAC_BYTES]
