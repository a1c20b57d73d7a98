"""JSON from outside: strict first, lenient for one thing only, and no message of a library ever shown.

Fault 51: broken JSON, NaN, a byte order mark, UTF-16, deep nesting and endless numbers are refused with a plain
sentence. Lone surrogates, which real senders cut out of emoji, are read and cleaned.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from ingest.spec import Unreadable

_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DIGITS = 400  # longer numbers are no measurement
_DEPTH = 100
_EXPECTED = "send one JSON document in UTF-8"


def read_json(body: bytes) -> Any:
    """The value of a JSON document. Raises `Unreadable` with a sentence for the sender."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _read_leniently(body)


def _read_leniently(body: bytes) -> Any:
    """What the strict reader refused only because half of a surrogate pair stands in it; else the reason."""
    reason = _encoding_fault(body)
    if reason is None and _too_deep(body):
        reason = f"The payload is nested deeper than {_DEPTH} levels"
    if reason is not None:
        raise Unreadable(f"{reason}; {_EXPECTED}.")
    if not _LONE_SURROGATE.search(body):
        raise Unreadable(f"{_syntax_fault(body)}; {_EXPECTED}.")
    try:
        return json.loads(body, parse_constant=_no_constant, parse_int=_number, parse_float=_fraction)
    except (ValueError, RecursionError):
        raise Unreadable(f"{_syntax_fault(body)}; {_EXPECTED}.") from None


def _encoding_fault(body: bytes) -> str | None:
    """What is wrong with the bytes as text."""
    if not body.strip():
        return "The payload is empty"
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or b"\x00" in body[:4]:
        return "The payload starts with a byte order mark or is in UTF-16"
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return f"The payload isn't UTF-8 (at byte {fault.start})"
    return None


def _too_deep(body: bytes) -> bool:
    """Whether brackets outside of strings open more than the allowed number of levels."""
    depth = 0
    for token in re.finditer(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', body, re.DOTALL):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > _DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _syntax_fault(body: bytes) -> str:
    """Where the JSON breaks, said in our words."""
    try:
        json.loads(body, parse_constant=_no_constant, parse_int=_number, parse_float=_fraction)
    except json.JSONDecodeError as fault:
        return f"The payload isn't valid JSON (line {fault.lineno}, column {fault.colno})"
    except (ValueError, RecursionError):
        return "The payload holds a number that can't be read, such as NaN or one without end"
    return "The payload isn't valid JSON"


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _number(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(len(text))
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(len(text))
    return number
