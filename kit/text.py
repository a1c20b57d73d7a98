"""Text from outside, made safe to keep and to show: the same two functions at every entry.

Finding 10 of the faults: a lone surrogate breaks SQLite, a NUL breaks PostgreSQL, and a line end in a
decoded subject writes a header of its own.
"""

from __future__ import annotations

import re
import unicodedata

_NEVER_STORED = re.compile("[\x00\ud800-\udfff]")
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def clean_text(text: str, limit: int = 1_048_576) -> str:
    r"""Text that both databases store and give back as it was: no NUL, no surrogate, NFC, at most ``limit`` characters.

    >>> clean_text("a\x00b\udc80")
    'a\ufffdb\ufffd'
    """
    text = text[:limit]
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    return unicodedata.normalize("NFC", _NEVER_STORED.sub("\ufffd", text))[:limit]


def header_text(text: str, limit: int = 200) -> str:
    r"""One line of plain text for a header, a title, a file name: control and bidi characters become a space.

    >>> header_text("hi\r\nBcc: x")
    'hi Bcc: x'
    """
    if text.isascii() and text.isprintable():
        if " " not in text:
            return text[:limit]
    else:
        text = _INVISIBLE.sub(" ", clean_text(text, limit * 4))
    return " ".join(text[: limit * 4].split())[:limit]
