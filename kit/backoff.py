"""How long to wait before the next try."""

from __future__ import annotations

from datetime import timedelta


def backoff(attempt: int, *, first: timedelta, most: timedelta, chance: float) -> timedelta:
    """The pause after attempt number ``attempt`` (from 1): doubled each time up to ``most``, half of it by chance.

    ``chance`` is a random number from 0 to 1, so that many waiters do not come back at once.

    >>> backoff(3, first=timedelta(seconds=30), most=timedelta(hours=1), chance=1.0)
    datetime.timedelta(seconds=120)
    """
    doublings = min(attempt - 1, 40)
    whole = min(first * float(2**doublings), most)
    return whole / 2 + whole / 2 * chance
