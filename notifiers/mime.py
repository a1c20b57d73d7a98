"""The few pieces of mail syntax that the desk writes itself: headers and parts, all 7-bit, the same bytes each time.

The library's message class takes a millisecond a mail and chooses its own boundaries; these take microseconds.
Everything from outside passes `header_text` here, so no value can begin a header of its own (finding 7).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime

from kit.text import header_text
from notifiers.errors import Unaddressable

_LINE = 76
_WORD_BYTES = 45  # become 60 characters of base64, 72 with the wrapping of an encoded word; see rfc2047 2
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]*")
_MESSAGE_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]{3,250}")
_NAME_LIMIT = 100


def text_header(name: str, value: str, limit: int = 200) -> str:
    """A header of free text, folded, in encoded words where it is not plain ASCII."""
    value = header_text(value, limit)
    if _needs_encoding(value):
        return f"{name}: " + "\r\n ".join(_encoded_words(value))
    return _folded(name, value.split(" "))


def address_header(name: str, address: str, display: str = "") -> str:
    """A header that names one address, with the person's name before it where there is one."""
    spec = f"<{ascii_address(address)}>"
    display = header_text(display, _NAME_LIMIT)
    if not display:
        return f"{name}: {spec}"
    if _needs_encoding(display):
        return f"{name}: " + "\r\n ".join([*_encoded_words(display), spec])
    if not _ATOMS.fullmatch(display):
        display = '"' + display.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name}: {display}\r\n {spec}"


def ids_header(name: str, message_ids: Sequence[str]) -> str:
    """A header of Message-IDs, one a line. Those with characters that would break it are left out."""
    return f"{name}: " + "\r\n ".join([f"<{message_id}>" for message_id in message_ids])


def sound_ids(message_ids: Sequence[str]) -> list[str]:
    """The Message-IDs that may stand in a header, each once, in their order."""
    return [found for found in dict.fromkeys(message_ids) if _MESSAGE_ID.fullmatch(found)]


def date_header(now: datetime) -> str:
    """When the mail was made."""
    return f"Date: {format_datetime(now.replace(microsecond=0))}"


def ascii_address(address: str) -> str:
    """The address as every relay takes it: its domain in ASCII. Raises `Unaddressable` where that cannot be."""
    local, _, domain = address.rpartition("@")
    if not address.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            raise Unaddressable from None
    if not (local and domain and local.isascii() and local.isprintable() and domain.isprintable()) or " " in address:
        raise Unaddressable
    if any(mark in address for mark in '<>,;:"()[]\\'):
        raise Unaddressable
    return f"{local}@{domain}"


def alternative(boundary: str, text: str, html: str) -> str:
    """The body of a mail that says the same twice, the richer form last; see rfc2046 5.1.4."""
    return (
        f"--{boundary}\r\n{_part('plain', text)}\r\n"
        f"--{boundary}\r\n{_part('html', html)}\r\n"
        f"--{boundary}--\r\n"
    )


def _part(subtype: str, text: str) -> str:
    body = binascii.b2a_qp(text.replace("\n", "\r\n").encode(), istext=True)
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: quoted-printable\r\n\r\n{body.decode('ascii')}"
    )


def _needs_encoding(value: str) -> bool:
    return "=?" in value or not (value.isascii() and value.isprintable())


def _encoded_words(value: str) -> list[str]:
    """Encoded words, none of which cuts a character in two."""
    words, chunk = [], b""
    for character in value:
        piece = character.encode()
        if len(chunk) + len(piece) > _WORD_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += piece
    return [f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in (*words, chunk)]


def _folded(name: str, words: Sequence[str]) -> str:
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > _LINE and not line.endswith(":"):
            lines.append(line)
            line = ""
        line += f" {word}"
    return "\r\n".join([*lines, line])
