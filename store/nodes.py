"""The daemons that work on this database, and when each was last alive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from kit.instants import to_micros
from store.bulk import write_rows

_BEAT = (
    "INSERT INTO nodes (name, started_at, alive_at) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET alive_at = excluded.alive_at"
)


def beat(connection: Connection, name: str, now: datetime) -> None:
    """Say that a node is alive."""
    write_rows(connection, _BEAT, [(name, to_micros(now), to_micros(now))])
