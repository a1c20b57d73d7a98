"""Promises run in real time, whatever the clocks on the wall do. Fault 106."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from desk.context import Desk
from desk.working import Working
from incidents.signal import Alert
from rules.load import PolicyFile, load_policy

PACK = Path(__file__).parents[2] / "rules" / "packs" / "lean"
EIGHT_HOURS = timedelta(hours=8)

#: The evening before: the clock goes ahead by an hour, back by an hour, back by half an hour, and a day is left out.
NIGHTS = [
    ("Europe/Berlin", "2026-03-28T22:00", "2026-03-29 08:00"),
    ("America/New_York", "2026-11-01T03:00", "2026-11-01 06:00"),
    ("Australia/Lord_Howe", "2026-04-04T12:00", "2026-04-05 06:30"),
    ("Pacific/Apia", "2011-12-30T08:00", "2011-12-31 06:00"),
]


@pytest.mark.parametrize("night", NIGHTS, ids=[zone for zone, _, _ in NIGHTS])
def test_eight_hours_are_eight_hours_in_the_night_in_which_clocks_change(
    make_desk: Callable[..., Desk], table: Any, alert: Callable[..., Alert], night: tuple[str, str, str]
) -> None:
    """A record of the second priority, to be restored within eight hours, and what people read on their wall then."""
    zone, opened, due = night
    files = {path.name: PolicyFile(path.name, path.read_text()) for path in PACK.glob("*.yml")}
    at = datetime.fromisoformat(opened).replace(tzinfo=UTC)
    policy = load_policy(files, framework="lean", zone=ZoneInfo(zone)).policy
    table.working = Working(make_desk(policy), table.working.ids, at)
    table.lay(alert(labels={"severity": "critical"}, start=None), at=at)
    record = table.only()
    assert record.priority == "P2"
    (target,) = [one for one in table.working.live_targets(record.id) if one.name == "sla.restore"]
    assert target.due_at - at == target.length == EIGHT_HOURS
    assert f"{target.due_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" == due
