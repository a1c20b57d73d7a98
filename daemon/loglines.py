"""Values and events as text: whatever they hold, one event is one line, and no control character gets through."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from structlog.typing import EventDict, WrappedLogger

from kit.instants import stamp

_MOST_CHARACTERS, _MOST_KEY, _MOST_ITEMS, _MOST_DEPTH = 2000, 64, 50, 4
_MOST_FRAMES, _MOST_CAUSES = 12, 5
_WHOLE_BITS = 64
_ORDER = ("at", "level", "event", "part")


def as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line of JSON in ASCII."""
    return json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("\x7f", "\\u007f")


def as_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line for people: the time, how grave, the event, then the rest."""
    clock = str(event.get("at", ""))[11:19]
    rest = " ".join(f"{visible(str(key))}={_shown(value)}" for key, value in event.items() if key not in _ORDER)
    return f"{clock} {event.get('level', ''):8} {visible(str(event.get('event', '')))}  {rest}".rstrip()


def visible(text: str) -> str:
    r"""Text with everything that does not print written as an escape.

    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
    text = visible(text)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or '"' in text or "=" in text else text


def plain(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - a line a type reads best
    """A value as JSON holds it: bounded in length, width and depth, and nothing that could raise later."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() < _WHOLE_BITS else "a number beyond 64 bits"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return str(value) if len(value) <= _MOST_CHARACTERS else value[:_MOST_CHARACTERS] + "…"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, datetime):
        return stamp(value) if value.tzinfo is not None else value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if depth < _MOST_DEPTH and isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _held(value, depth + 1)
    return _named(value)


def _held(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {str(key)[:_MOST_KEY]: plain(one, depth) for key, one in list(value.items())[:_MOST_ITEMS]}
    return [plain(one, depth) for one in list(value)[:_MOST_ITEMS]]


def _named(value: Any) -> str:
    """Anything else: its own text, if it has one that works."""
    try:
        return str(value)[:_MOST_CHARACTERS]
    except Exception:  # noqa: BLE001 - a log line must not fail for what it tells of
        return f"a {type(value).__name__}"


def trace_of(error: BaseException) -> list[str]:
    """What went wrong and where: the first line of each error of the chain, then the innermost frames.

    Further lines are left out: a database driver quotes the rows there, and rows hold mails.
    """
    chain: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(chain) < _MOST_CAUSES:
        first = _named(seen).partition("\n")[0][:200]
        chain.append(f"{type(seen).__name__}: {first}")
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    return chain + [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
