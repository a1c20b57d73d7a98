"""Instants: aware UTC in memory, whole microseconds in rows, RFC 3339 with a Z for people and hashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOO_FAR = datetime(9000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant.

    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (instant - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware instant of that many microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


@lru_cache(maxsize=1024)  # a turn writes the same few instants again and again
def stamp(instant: datetime) -> str:
    """The one written form of an instant: UTC, six digits, Z (the form that the timeline hashes).

    >>> stamp(datetime(2026, 11, 23, 8, tzinfo=UTC))
    '2026-11-23T08:00:00.000000Z'
    """
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 instant with zone, as monitors write it; None where it is none.

    Digits beyond microseconds are cut, and Go's zero time counts as none.

    >>> parse_instant("2026-11-23T08:00:00.123456789+01:00").isoformat()
    '2026-11-23T07:00:00.123456+00:00'
    >>> parse_instant("0001-01-01T00:00:00Z") is None
    True
    """
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            return None
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant if EPOCH <= instant < _TOO_FAR else None
