"""The only place that reads the wall clock; everything else is given ``now``."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """This instant, aware, UTC."""
    return datetime.now(UTC)
