"""Bytes to text for mail: an allow-list of text codecs, the lies that senders tell about them, and encoded words.

Labels are wrong often enough that each one names the codecs to try, in order. Nothing here raises: what no codec
reads is read as Windows-1252 with replacements, and a note says so (A51, fault 25). A detection library was judged
and left out: the few families that senders mix up are told apart by a strict decode.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

_JAPANESE = ("utf_8", "cp932", "euc_jp")
_WESTERN = ("utf_8", "cp1252", "latin_1")

#: Which codecs to try for which label; the label's own family, a superset where one is common in the field.
_LABELS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), ("utf_8",)),
    **dict.fromkeys(("us-ascii", "ascii", "ansi-x3.4-1968", ""), _WESTERN),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "iso8859-1", "windows-1252", "cp1252", "x-ansi"), _WESTERN),
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "cp936", "x-gbk", "euc-cn", "chinese"), ("gb18030",)),
    "hz-gb-2312": ("hz", "gb18030"),
    **dict.fromkeys(("big5", "cp950", "x-x-big5", "big5-hkscs"), ("big5hkscs", "cp950")),
    **dict.fromkeys(("shift-jis", "sjis", "x-sjis", "cp932", "windows-31j", "ms-kanji"), ("cp932", "euc_jp")),
    **dict.fromkeys(("euc-jp", "x-euc-jp", "ujis"), ("euc_jp", "cp932")),
    **dict.fromkeys(("iso-2022-jp", "iso-2022-jp-1", "iso-2022-jp-2", "csiso2022jp"), ("iso2022_jp_ext", *_JAPANESE)),
    **dict.fromkeys(("euc-kr", "ks-c-5601-1987", "ks-c-5601", "ksc5601", "cp949", "uhc"), ("cp949",)),
    "iso-2022-kr": ("iso2022_kr", "cp949"),
    **dict.fromkeys(("koi8-r", "koi8"), ("koi8_r",)),
    "koi8-u": ("koi8_u",),
    **dict.fromkeys(("iso-8859-8-i", "iso-8859-8-e"), ("cp1255", "iso8859_8")),
    **dict.fromkeys(("iso-8859-9", "latin5"), ("cp1254",)),
    **dict.fromkeys(("iso-8859-11", "tis-620", "windows-874"), ("cp874",)),
    **dict.fromkeys(("utf-7", "unicode-1-1-utf-7", "unicode-2-0-utf-7"), ("utf_7",)),
    "utf-16": ("utf_16",),
    "utf-16le": ("utf_16_le",),
    "utf-16be": ("utf_16_be",),
    **{f"iso-8859-{part}": (f"iso8859_{part}",) for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **{f"windows-{page}": (f"cp{page}",) for page in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)},
    **{f"cp{page}": (f"cp{page}",) for page in (437, 850, 852, 855, 866, 1250, 1251, 1253, 1254, 1255, 1256, 1257)},
    **{f"ibm{page}": (f"cp{page}",) for page in (437, 850, 852, 855, 866)},
    **dict.fromkeys(("macintosh", "mac", "x-mac-roman"), ("mac_roman",)),
}
_STATEFUL = frozenset({"iso2022_jp_ext", "iso2022_kr", "hz", "utf_7", "utf_16", "utf_16_le", "utf_16_be"})
#: The Windows pages that senders mean when bytes stand where ISO has control characters.
_WINDOWS = {
    "iso8859_2": "cp1250", "iso8859_4": "cp1257", "iso8859_5": "cp1251", "iso8859_6": "cp1256", "iso8859_7": "cp1253",
    "iso8859_13": "cp1257",
}  # fmt: skip
_CONTROLS = re.compile(rb"[\x80-\x9f]")
_JAPANESE_ESCAPE = b"\x1b$"
_WORD = re.compile(r"=\?([\w.:+-]{1,40})(?:\*[\w-]{0,20})?\?([bBqQ])\?([^?]*(?:\?(?!=)[^?]*){0,8})\?=")
_NOT_BASE64 = bytes(range(256)).translate(
    None, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)


class Decoded(NamedTuple):
    """Text, and what had to be done to read it; None where nothing had."""

    text: str
    note: str | None = None


def decode_text(data: bytes, label: str | None) -> Decoded:
    """The text that ``data`` is, told to be in the charset ``label``."""
    name = (label or "").strip(" \"'").lower().replace("_", "-")
    codecs = _LABELS.get(name)
    if data.isascii() and (codecs is None or codecs[0] not in _STATEFUL):
        if _JAPANESE_ESCAPE not in data:
            return Decoded(data.decode("ascii"))
        codecs = ("iso2022_jp_ext", *(codecs or ("utf_8",)))
    elif codecs and codecs[0] in _WINDOWS and _CONTROLS.search(data):
        codecs = (_WINDOWS[codecs[0]], *codecs)
    for codec in codecs or ("iso2022_jp_ext", "utf_8"):
        try:
            return Decoded(data.decode(codec).removeprefix("\ufeff"), None if codecs else _unknown(name))
        except UnicodeError:
            continue
    try:
        return Decoded(data.decode(), f"the charset {name[:40]} was wrong: read as utf-8")
    except UnicodeError:
        codec = codecs[0] if codecs else "cp1252"
        if codec == "utf_8" and not _mostly_utf8(data):
            codec = "cp1252"
        return Decoded(data.decode(codec, "replace"), f"some characters could not be read as {name[:40] or codec}")


def _mostly_utf8(data: bytes) -> bool:
    """Whether a few bytes are wrong, not the label: more characters beyond ASCII can be read than not."""
    text = data.decode("utf_8", "replace")
    return 2 * text.count("\ufffd") <= len(text) - len(text.encode("ascii", "ignore"))


def _unknown(name: str) -> str | None:
    return f"the charset {name[:40]} is not known" if name else None


def raw_text(value: bytes) -> str:
    """A header as it came: UTF-8 where it is, else as the Western world wrote it."""
    if value.isascii():
        return value.decode("ascii")
    return decode_text(value, None).text


def decode_words(text: str) -> str:
    """A header with its encoded words read; neighbours of one charset are joined first (A52).

    >>> decode_words("=?utf-8?b?w6Q=?= =?utf-8?q?_b?= c")
    'ä b c'
    """
    return "".join(_pieces(text)) if "=?" in text else text


def _pieces(text: str) -> Iterator[str]:
    """The text between words, and the words, each run of one charset decoded as one."""
    run, charset, end = b"", "", 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        if run and (between.strip() or word[1].lower() != charset):
            yield decode_text(run, charset).text
            run = b""
        if between.strip() or not end:
            yield between
        charset, end = word[1].lower(), word.end()
        run += _word_bytes(word[2], word[3])
    if run:
        yield decode_text(run, charset).text
    yield text[end:]


def _word_bytes(encoding: str, payload: str) -> bytes:
    data = payload.encode("utf-8", "replace")
    return decode_base64(data) if encoding in "bB" else binascii.a2b_qp(data, header=True)


def decode_base64(data: bytes | memoryview) -> bytes:
    """Base64 as it comes: line ends, junk and a missing end are no reason to lose the rest (A54)."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        kept = bytes(data).translate(None, _NOT_BASE64)
        kept = kept[: len(kept) - (len(kept) % 4 == 1)]
        return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))
