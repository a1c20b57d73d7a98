"""Times and states in the words of the design: short, with the number and the unit."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STATES = {
    "new": "New",
    "working": "Working",
    "waiting_customer": "Waiting on customer",
    "waiting_vendor": "Waiting on vendor",
    "restored": "Restored",
    "resolved": "Resolved",
    "closed": "Closed",
}


def state_word(state: str) -> str:
    """A state for people.

    >>> state_word("waiting_vendor")
    'Waiting on vendor'
    """
    return _STATES.get(state, state.replace("_", " ").capitalize())


def target_word(name: str) -> str:
    """What a target bounds.

    >>> target_word("sla.next_update")
    'next update'
    """
    return name.rpartition(".")[2].replace("_", " ")


def span(length: timedelta) -> str:
    """A length of time with at most two units.

    >>> span(timedelta(minutes=8)), span(timedelta(hours=2, minutes=10)), span(timedelta(days=1, hours=2))
    ('8 min', '2 h 10', '1 d 2 h')
    >>> span(timedelta(seconds=20)), span(timedelta(hours=3)), span(timedelta(days=2))
    ('under 1 min', '3 h', '2 d')
    """
    seconds = int(length.total_seconds())
    if seconds < _MINUTE:
        return "under 1 min"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        hours, minutes = divmod(seconds // _MINUTE, 60)
        return f"{hours} h {minutes:02}" if minutes else f"{hours} h"
    days, hours = divmod(seconds // _HOUR, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


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
