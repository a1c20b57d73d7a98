"""Times in the words of the design: short, with the number and the unit."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from kit.durations import tell_duration

_MINUTE = timedelta(minutes=1)


def target_word(name: str) -> str:
    """What a target bounds.

    >>> target_word("sla.next_update")
    'next update'
    """
    return name.rpartition(".")[2].replace("_", " ")


def span(length: timedelta) -> str:
    """A length of time, and what is too short for the clock.

    >>> span(timedelta(seconds=20)), span(timedelta(hours=2, minutes=10))
    ('under 1 min', '2 h 10')
    """
    return "under 1 min" if length < _MINUTE else tell_duration(length)


def when(instant: datetime, now: datetime, zone: tzinfo) -> str:
    """An instant as the desk's clock shows it; the day where it is not today's.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    >>> when(noon, noon, UTC), when(noon + timedelta(days=1), noon, UTC), when(noon + timedelta(days=30), noon, UTC)
    ('12:00', 'Tue 12:00', '23 Dec 12:00')
    """
    local, today = instant.astimezone(zone), now.astimezone(zone).date()
    days = (local.date() - today).days
    if days == 0:
        return f"{local:%H:%M}"
    return f"{local:%a %H:%M}" if 0 < days < 7 else f"{local.day} {local:%b %H:%M}"  # noqa: PLR2004 - a week
