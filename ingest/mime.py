"""The form of a mail: header fields and parts, found in the bytes by linear scans, under limits.

The standard library's parser was measured and left out: a mail with a large file takes it four times as long and
several times the memory, and headers made to hurt take it seconds (finding 6, docs/decisions/0009-mail-in.md). What
is here looks at each byte a few times at most: parts are offsets into the mail, and only what is read is decoded.
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
_NOTES_MAX = 20
_PADDING_MAX = 100

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STARTS_WITH_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_FOLD = re.compile(rb"\n[ \t]+")
_PARAMETER = re.compile(
    r""";\s*([^\s=;*"]+)(?:\*(\d{1,3}))?(\*)?\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"?|([^;]*))""", re.DOTALL
)
_DELIMITER = re.compile(rb"(?:\A|\n)--([^\s\-][^\r\n]{0,199}?)[ \t]*\r?\n")
_DELIMITER_END = re.compile(rb"(?:(--).*|[ \t]*\r?(?:\n|\Z))")
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
        if text not in self.notes and len(self.notes) < _NOTES_MAX:
            self.notes.append(text)


def read_mail(reading: Reading) -> Part:
    """The tree of parts of a whole mail."""
    body = reading.body
    return _read_part(reading, 0 if not body.startswith(b"From ") else body.find(b"\n") + 1, len(body), "text/plain", 0)


def _read_part(reading: Reading, start: int, end: int, default: str, depth: int) -> Part:
    """The part between two offsets: its fields, then its content or its own parts."""
    reading.parts += 1
    block, content = _split_block(reading, start, end)
    fields = read_fields(block, reading)
    kind, parameters = read_value(first(fields, "content-type"))
    if kind.count("/") != 1:
        kind = default
    parts: tuple[Part, ...] = ()
    if kind.startswith("multipart/"):
        boundary = _boundary(reading.body, parameters, content, end)
        if depth >= DEPTH_MAX:
            reading.note(f"content truncated: parts were nested deeper than {DEPTH_MAX}")
        elif boundary:
            default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
            spans = _spans(reading.body, b"--" + boundary, content, end)
            parts = tuple(_read_parts(reading, spans, default, depth + 1))
        if not parts and depth < DEPTH_MAX and reading.parts < PARTS_MAX:
            kind = "text/plain"  # what is no multipart after all is read as it stands (A54)
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
        reading.note("content truncated: the header was longer than 256 KiB")
        stop = start + HEADER_BLOCK_MAX
    return body[start:stop], content


def read_fields(block: bytes, reading: Reading | None = None) -> Fields:
    """Field name in lower case to its unfolded values, in order. A bare CR becomes a space (fault 2).

    A long field is cut, and ``reading`` is told; References keep their end, where the newest ones stand.
    """
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    fields: Fields = {}
    for line in _FOLD.sub(b" ", block).split(b"\n"):
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and name and b" " not in name and name.isascii():
            key = name.decode("ascii").lower()
            fields.setdefault(key, []).append(_cut(key, value, reading).strip())
    return fields


def _cut(key: str, value: bytes, reading: Reading | None) -> bytes:
    if len(value) <= FIELD_MAX:
        return value
    if reading is not None:
        reading.note("content truncated: a header field was longer than 16 KiB")
    return value[-FIELD_MAX:] if key == "references" else value[:FIELD_MAX]


def first(fields: Fields, name: str) -> bytes:
    """The first value of a field; empty where there is none."""
    values = fields.get(name)
    return values[0] if values else b""


def _read_parts(reading: Reading, spans: Iterator[tuple[int, int]], default: str, depth: int) -> Iterator[Part]:
    """The parts that stand in ``spans``, until there are too many."""
    for start, end in spans:
        if reading.parts >= PARTS_MAX:
            reading.note(f"content truncated: there were more than {PARTS_MAX} parts")
            return
        yield _read_part(reading, start, end, default, depth)


def _boundary(body: bytes, parameters: dict[str, str], start: int, end: int) -> bytes:
    """What parts the parts; where the parameter is missing, the first line that looks like a delimiter (A54)."""
    given = parameters.get("boundary", "").rstrip()
    if given:
        return given.encode("utf-8", "surrogateescape")
    found = _DELIMITER.search(body, max(start - 1, 0), end)
    return found[1] if found else b""


def _spans(body: bytes, delimiter: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where each part stands between delimiter lines; the last one needs none after it."""
    opened = None
    place = body.find(delimiter, start, end)
    while place >= 0:
        after = place + len(delimiter)
        found = _DELIMITER_END.match(body, after, min(end, after + _PADDING_MAX))
        if found and (place == start or body[place - 1] == 10):  # noqa: PLR2004 - a line feed
            if opened is not None:
                yield opened, max(opened, place - (2 if body[place - 2 : place] == b"\r\n" else 1))
            opened = None if found[1] else found.end()
            if found[1]:
                return
        place = body.find(delimiter, after, end)
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
