"""The daemons that work on this database, and when each was last alive."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from kit.instants import to_micros
from store.bulk import write_rows
from store.tables.instance import nodes

#: A node that was silent for longer is not alive.
ALIVE_FOR = timedelta(seconds=60)

_BEAT = (
    "INSERT INTO nodes (name, started_at, alive_at) VALUES (?, ?, ?)"
    " ON CONFLICT (name) DO UPDATE SET alive_at = excluded.alive_at"
)


def beat(connection: Connection, name: str, now: datetime) -> None:
    """Say that a node is alive."""
    write_rows(connection, _BEAT, [(name, to_micros(now), to_micros(now))])


def load_beats(connection: Connection) -> dict[str, int]:
    """The nodes that ever worked on this database, each with its latest beat by its own clock."""
    return {row.name: row.alive_at for row in connection.execute(select(nodes.c.name, nodes.c.alive_at))}


def node_of(owner: str) -> str:
    """The node whose worker or hand-over an owner of leases is: all but what follows its name.

    >>> node_of("web.example.com-1f2e3d.1.4")
    'web.example.com-1f2e3d'
    """
    host, _, rest = owner.rpartition("-")
    return f"{host}-{rest.partition('.')[0]}"


def known_hosts(connection: Connection) -> set[str]:
    """The hosts whose nodes ever worked on this database."""
    return {host_of(name) for name in connection.execute(select(nodes.c.name)).scalars()}


def alive_hosts(connection: Connection, now: datetime) -> set[str]:
    """The hosts whose nodes work on it now, or did a minute ago; a beat of the future is of a clock that was wrong."""
    near = nodes.c.alive_at.between(to_micros(now - ALIVE_FOR), to_micros(now + ALIVE_FOR))
    alive = select(nodes.c.name).where(near)
    return {host_of(name) for name in connection.execute(alive).scalars()}


def host_of(name: str) -> str:
    """The host that a node runs on: its name without the random part."""
    return name.rpartition("-")[0]
