"""The list of open records as the template places it: what is said of each, and under which clock it stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlsplit

from console.words import span, target_word, when
from desk.ports import Shown
from incidents.targets import Target, TargetState
from kit.text import header_text

_HOUR = timedelta(hours=1)
_NEAR = 0.25  # the last quarter of a promise
GROUPS = ("Overdue", "Due within the hour", "Today", "Later", "Clock stopped", "Without a clock")


class Clock(NamedTuple):
    """The next clock of a record: the bold word, what it bounds and when, how it looks, and its group."""

    word: str
    sub: str
    look: str  # hot, warm, m, or nothing
    icon: str
    group: str


class RowView(NamedTuple):
    """One record of the list."""

    ref: str
    title: str
    priority: str
    severity: str
    bars: int
    needs_person: bool
    state: str
    unseen: bool
    by_machine: bool
    about: str
    url: str | None
    team: str
    assignee: str
    clock: Clock


class Group(NamedTuple):
    """The records whose next clock is about as near."""

    name: str
    rows: Sequence[RowView]


def groups_of(shown: Sequence[Shown], now: datetime, zone: tzinfo) -> list[Group]:
    """The list in groups by clock; records come with the next clock first and stay so."""
    rows = sorted((row_of(one, now, zone) for one in shown), key=lambda row: GROUPS.index(row.clock.group))
    return [Group(name, list(some)) for name, some in groupby(rows, key=lambda row: row.clock.group)]


def row_of(shown: Shown, now: datetime, zone: tzinfo) -> RowView:
    """One record in words. A confidential one keeps its words to itself."""
    incident = shown.incident
    secret = incident.confidential
    digit = incident.severity.removeprefix("sev")
    return RowView(
        ref=incident.ref,
        title="Confidential" if secret else header_text(incident.title) or "Without a title",
        priority=incident.priority,
        severity=incident.severity,
        bars=5 - int(digit) if digit in {"1", "2", "3", "4"} else 0,
        needs_person=incident.needs_person,
        state=header_text(shown.state, 40),
        unseen=incident.acknowledged_at is None and incident.state == "new",
        by_machine=incident.requester is None,
        about="" if secret else _about(shown),
        url=None if secret else web_address(incident.url),
        team=incident.team,
        assignee=shown.assignee or "unassigned",
        clock=clock_of(shown.targets, now, zone),
    )


def clock_of(targets: Sequence[Target], now: datetime, zone: tzinfo) -> Clock:
    """The next promise that runs, else the one that is stopped, else that there is none."""
    promises = sorted((one for one in targets if one.name.startswith("sla.")), key=lambda one: one.due_at)
    target = next((one for one in promises if one.state == TargetState.RUNNING), None)
    if target is None:
        stopped = next(iter(promises), None)
        if stopped is None or stopped.paused_at is None:
            return Clock("no clock", "nothing promised", "m", "", "Without a clock")
        return Clock("paused", f"since {when(stopped.paused_at, now, zone)}", "m", "pause", "Clock stopped")
    left, sub = target.due_at - now, f"{target_word(target.name)} by {when(target.due_at, now, zone)}"
    if left <= timedelta():
        return Clock(f"{span(-left)} over", sub, "hot", "alert", "Overdue")
    near = left <= target.length * _NEAR
    return Clock(span(left), sub, "warm" if near else "", "clock" if near else "", _group(target, now, zone))


def _group(target: Target, now: datetime, zone: tzinfo) -> str:
    if target.due_at - now <= _HOUR:
        return "Due within the hour"
    same_day = target.due_at.astimezone(zone).date() == now.astimezone(zone).date()
    return "Today" if same_day else "Later"


def web_address(url: str | None) -> str | None:
    """An address that a page may link: http or https with a host, and nothing else.

    >>> web_address("https://prometheus.example.com/graph"), web_address("javascript:alert(1)"), web_address(None)
    ('https://prometheus.example.com/graph', None, None)
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname and url.isprintable() else None


def _about(shown: Shown) -> str:
    incident = shown.incident
    who = shown.requester or shown.requester_address or incident.source
    count = f"{shown.signals} signals" if shown.signals > 1 else ""
    parts = (who, count, incident.service or "", incident.category or "", incident.resource or "")
    return " · ".join(header_text(part, 80) for part in parts if part)
