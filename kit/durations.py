"""Spans as policy and people write them: ``90s 15m 4h 2d``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WRITTEN = re.compile(r"([0-9]{1,9})\s*([smhd])")


def parse_duration(text: str) -> timedelta:
    """The span that ``text`` names; ValueError says what was expected.

    >>> parse_duration("15m")
    datetime.timedelta(seconds=900)
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration: write a whole number and s, m, h or d, such as 15m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def tell_duration(span: timedelta) -> str:
    """A span for people, to the minute: ``8 min``, ``2 h 10``, ``1 d 2 h``.

    >>> tell_duration(timedelta(minutes=130))
    '2 h 10'
    >>> tell_duration(timedelta(days=1, hours=2, minutes=5)), tell_duration(timedelta(days=2))
    ('1 d 2 h', '2 d')
    """
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:  # noqa: PLR2004 - minutes in an hour
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:  # noqa: PLR2004 - hours in a day
        return f"{hours} h {minutes:02}" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
