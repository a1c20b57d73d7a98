"""Parts of a mail that are kept as files: safe names, sizes and hashes (A55 to A60)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from incidents.signal import Attachment
from ingest.charsets import decode_words, raw_text
from ingest.mime import Part, Reading, content_of, first, header_line, read_fields, read_value
from kit.text import header_text

_NAME_MAX = 120
_ILLEGAL = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,80}/[a-z0-9][a-z0-9!#$&^_.+-]{0,80}")
_ENDINGS = {
    "text/plain": "txt", "text/html": "html", "text/calendar": "ics", "text/csv": "csv", "image/jpeg": "jpg",
    "image/png": "png", "image/gif": "gif", "image/svg+xml": "svg", "application/pdf": "pdf", "application/zip": "zip",
    "application/json": "json", "application/xml": "xml", "message/rfc822": "eml", "application/ms-tnef": "dat",
}  # fmt: skip


class Files:
    """The files of one mail, with names that are each there once."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names: set[str] = set()
        self.found: list[tuple[Attachment, str]] = []  # with the content id

    def add(self, part: Part) -> None:
        """Keep a part as a file."""
        content = content_of(self._reading.body, part)
        kind = part.type if _TYPE.fullmatch(part.type) else "application/octet-stream"
        name = self._unique(self._name(part, kind, content))
        cid = raw_text(first(part.fields, "content-id")).strip(" <>")[:998]
        digest = hashlib.sha256(content).hexdigest()
        self.found.append((Attachment(name, kind, len(content), inline=False, sha256=digest), cid))

    def attachments(self, shown: set[str], left_out: set[str]) -> tuple[Attachment, ...]:
        """The files; those whose content id the HTML shows are inline (A56), those of ``left_out`` are not wanted."""
        return tuple(
            replace(kept, inline=True) if cid in shown else kept
            for kept, cid in self.found
            if not cid or cid not in left_out
        )

    def _name(self, part: Part, kind: str, content: bytes) -> str:
        if kind == "message/rfc822" and not given_name(part):
            subject = first(read_fields(content[:16_384].replace(b"\r\n", b"\n").partition(b"\n\n")[0]), "subject")
            return clean_name(f"{header_line(subject) or 'mail'}.eml")
        name = clean_name(given_name(part))
        if name:
            return name
        ending = _ENDINGS.get(kind) or (kind.rpartition("/")[2] if kind.rpartition("/")[2].isalpha() else "bin")
        return f"attachment.{ending if len(ending) <= 5 else 'bin'}"  # noqa: PLR2004 - a usual ending is no longer

    def _unique(self, name: str) -> str:
        """The name, with a number from 2 up where it is there already."""
        stem, dot, ending = name.rpartition(".")
        stem, ending = (stem, dot + ending) if stem else (name, "")
        unique, number = name, 2
        while unique.lower() in self._names:
            unique, number = f"{stem}_{number}{ending}", number + 1
        self._names.add(unique.lower())
        return unique


def given_name(part: Part) -> str:
    """The file name that a part came with, as it came; empty where it has none."""
    disposition = first(part.fields, "content-disposition")
    return (read_value(disposition)[1].get("filename") if disposition else "") or part.parameters.get("name", "")


def clean_name(name: str) -> str:
    r"""A file name that any system takes and that leaves its folder nowhere.

    >>> clean_name("..\\..\\a:b\n.txt")
    'a_b .txt'
    """
    name = header_text(decode_words(name[:2000]), 1000).replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = _ILLEGAL.sub("_", name).strip(" .")
    if _RESERVED.match(name):
        name = f"_{name}"
    if len(name) <= _NAME_MAX:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:  # noqa: PLR2004 - what is longer is no ending
        return name[:_NAME_MAX]
    return f"{stem[: _NAME_MAX - len(ending) - 1]}.{ending}"
