"""The form of a mail: header fields and parts, found in the bytes by linear scans, under limits.

The standard library's parser was measured and left out: it needs 150 µs and more for an ordinary mail, several
times the memory of a big one, and seconds for headers made to hurt (finding 6). What is here looks at each byte a
few times at most: parts are offsets into the mail, and only what is read is decoded.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest.charsets import decode_base64, decode_text, decode_words, raw_text
from kit.text import header_text

HEADER_BLOCK_MAX = 256 * 1024
FIELD_MAX = 16 * 1024
DEPTH_MAX = 20
PARTS_MAX = 200
_PARAMETERS_MAX = 100
_NOTE_MAX = 300

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STARTS_WITH_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FOLD = re.compile(rb"\n[ \t]+")
_PARAMETER = re.compile(
    r""";\s*([^\s=;*"]+)(?:\*(\d{1,3}))?(\*)?\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;]*))""", re.DOTALL
)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")

Fields = dict[str, list[bytes]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a mail: its fields, its media type in lower case, and where its content stands in the bytes."""

    fields: Fields
    type: str
    parameters: dict[str, str]
    start: int
    end: int
    parts: tuple[Part, ...] = ()


@dataclass(slots=True)
class Reading:
    """What reading one mail has used up of its limits, and the notes it leaves."""

    body: bytes
    parts: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a note, each one once; what it quotes is the sender's, and cleaned like all of it."""
        text = header_text(text, _NOTE_MAX)
        if text not in self.notes:
            self.notes.append(text)


def read_mail(reading: Reading) -> Part:
    """The tree of parts of a whole mail."""
    body = reading.body
    return _read_part(reading, 0 if not body.startswith(b"From ") else body.find(b"\n") + 1, len(body), "text/plain", 0)


def _read_part(reading: Reading, start: int, end: int, default: str, depth: int) -> Part:
    """The part between two offsets: its fields, then its content or its own parts."""
    reading.parts += 1
    block, content = _split_block(reading, start, end)
    fields = read_fields(block)
    kind, parameters = read_value(first(fields, "content-type"))
    if kind.count("/") != 1:
        kind = default
    parts: tuple[Part, ...] = ()
    if kind.startswith("multipart/"):
        inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        parts = tuple(_read_parts(reading, parameters.get("boundary", ""), inner, (content, end), depth))
        kind = kind if parts else "text/plain"
    return Part(fields, kind, parameters, content, end, parts)


def _split_block(reading: Reading, start: int, end: int) -> tuple[bytes, int]:
    """The block of fields at ``start``, cut to its limit, and where the content begins."""
    body = reading.body
    if not _STARTS_WITH_FIELD.match(body, start, end):
        skipped = 2 if body.startswith(b"\r\n", start, end) else int(body.startswith(b"\n", start, end))
        return b"", start + skipped
    blank = _BLANK_LINE.search(body, start, end)
    stop, content = (blank.start(), blank.end()) if blank else (end, end)
    if stop - start > HEADER_BLOCK_MAX:
        reading.note("the header was longer than 256 KiB: its end was not read")
        stop = start + HEADER_BLOCK_MAX
    return body[start:stop], content


def read_fields(block: bytes) -> Fields:
    """Field name in lower case to its unfolded values, in order. A bare CR becomes a space (fault 2)."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    fields: Fields = {}
    for line in _FOLD.sub(b" ", block).split(b"\n"):
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and name and b" " not in name and name.isascii():
            fields.setdefault(name.decode("ascii").lower(), []).append(value[:FIELD_MAX].strip())
    return fields


def first(fields: Fields, name: str) -> bytes:
    """The first value of a field; empty where there is none."""
    values = fields.get(name)
    return values[0] if values else b""


def _read_parts(reading: Reading, boundary: str, default: str, span: tuple[int, int], depth: int) -> Iterator[Part]:
    """The parts of a multipart, until a limit is reached."""
    if depth >= DEPTH_MAX:
        reading.note(f"content truncated: parts were nested deeper than {DEPTH_MAX}")
        return
    boundary = boundary.rstrip() or _guessed_boundary(reading.body, *span)
    if not boundary:
        return
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    for inner_start, inner_end in _spans(reading.body, delimiter, *span):
        if reading.parts >= PARTS_MAX:
            reading.note(f"content truncated: there were more than {PARTS_MAX} parts")
            return
        yield _read_part(reading, inner_start, inner_end, default, depth + 1)


def _guessed_boundary(body: bytes, start: int, end: int) -> str:
    """The first line that looks like a delimiter, where the parameter is missing (A54)."""
    found = re.compile(rb"(?:\A|\n)--([^\s\-][^\r\n]{0,199}?)[ \t]*\r?\n").search(body, max(start - 1, 0), end)
    return found[1].decode("utf-8", "surrogateescape") if found else ""


def _spans(body: bytes, delimiter: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where each part stands between delimiter lines; the last one needs none after it."""
    opened = None
    place = body.find(delimiter, start, end)
    while place >= 0:
        line_end = body.find(b"\n", place, end)
        line_end = end if line_end < 0 else line_end
        rest = body[place + len(delimiter) : min(line_end, place + len(delimiter) + 100)].strip()
        if (place == start or body[place - 1] == 10) and rest in (b"", b"--"):  # noqa: PLR2004 - a line feed
            if opened is not None:
                yield opened, max(opened, place - (2 if body[place - 2 : place] == b"\r\n" else 1))
            opened = None if rest else min(line_end + 1, end)
            if rest:
                return
        place = body.find(delimiter, place + len(delimiter), end)
    if opened is not None:
        yield opened, end


def read_value(raw: bytes) -> tuple[str, dict[str, str]]:
    """A field such as Content-Type: its value in lower case, and its parameters (RFC 2231 and its relatives, A55).

    >>> read_value(b'attachment; filename*0="a"; filename*1="b.txt"')
    ('attachment', {'filename': 'ab.txt'})
    """
    if not raw:
        return "", {}
    text = raw_text(raw)
    value, semicolon, _ = text.partition(";")
    return value.strip().lower(), _parameters(text[len(value) :]) if semicolon else {}


def _parameters(text: str) -> dict[str, str]:
    """Names and values; continuations in their order, and the percent form of RFC 5987 before the plain one."""
    found: dict[str, list[tuple[int, bool, str]]] = {}
    for place, match in enumerate(_PARAMETER.finditer(text)):
        if place >= _PARAMETERS_MAX:
            break
        name, number, percent, quoted, plain = match.groups()
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip()
        found.setdefault(name.lower(), []).append((int(number or 0), bool(percent), value))
    return {name: _joined(pieces) for name, pieces in found.items()}


def _joined(pieces: list[tuple[int, bool, str]]) -> str:
    """One value of its pieces."""
    if not any(percent for _, percent, _ in pieces):
        return decode_words("".join(value for _, _, value in sorted(pieces, key=lambda piece: piece[0])))
    pieces = sorted((piece for piece in pieces if piece[1] or piece[0]), key=lambda piece: piece[0])
    charset, quote, rest = pieces[0][2].partition("'")
    if quote:
        pieces[0] = (*pieces[0][:2], rest.partition("'")[2])
    data = b"".join(
        _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), value.encode()) if percent else value.encode()
        for _, percent, value in pieces
    )
    return decode_text(data, charset or "utf-8").text


def content_of(body: bytes, part: Part) -> bytes:
    """The bytes that a part carries, its transfer encoding undone; what is broken is read as far as it goes."""
    data = body[part.start : part.end]
    encoding = first(part.fields, "content-transfer-encoding").strip().lower()
    if encoding == b"base64":
        return decode_base64(data)
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(data)
    if encoding in (b"x-uuencode", b"uuencode", b"x-uue"):
        return _decode_uu(data)
    return data


def _decode_uu(data: bytes) -> bytes:
    """Uuencoded lines between ``begin`` and ``end``."""
    decoded = []
    for line in data.partition(b"begin ")[2].splitlines()[1:]:
        if line.strip() == b"end":
            break
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue
    return b"".join(decoded)


def header_line(raw: bytes, limit: int = 200) -> str:
    """A header as one clean line, its encoded words read."""
    return header_text(decode_words(raw_text(raw[:FIELD_MAX])), limit)
