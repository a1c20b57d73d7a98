"""The hold on deliveries: while it stands, mail is composed and nothing is handed over, until a person says so.

A restored database knows nothing of what was told since the backup; one that wakes on a strange host may be a copy
of a desk that still runs elsewhere. Both would tell people twice (guarantee G13).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, func, select, update

from kit.instants import from_micros, to_micros
from store.nodes import alive_hosts, host_of, known_hosts
from store.tables.instance import instance
from store.tables.outbox import outbox


class HoldReason(StrEnum):
    """Why nothing is handed over."""

    RESTORED = "restored"
    STRANGE_HOST = "strange_host"
    BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class Hold:
    """Since when nothing is handed over, and why."""

    since: datetime
    reason: HoldReason


def load_hold(connection: Connection) -> Hold | None:
    """The hold that stands; None where deliveries go out."""
    row = connection.execute(_HOLD).one_or_none()
    if row is None or row.held_at is None:
        return None
    return Hold(from_micros(row.held_at), HoldReason(row.held_reason))


_HOLD = select(instance.c.held_at, instance.c.held_reason)


def hold_deliveries(connection: Connection, reason: HoldReason, now: datetime) -> Hold:
    """Hold what is to be told from now on; a hold that stands already stays as it is."""
    free = update(instance).where(instance.c.held_at.is_(None))
    connection.execute(free.values(held_at=to_micros(now), held_reason=str(reason)))
    return load_hold(connection) or Hold(now, reason)


def release_deliveries(connection: Connection) -> Hold | None:
    """Let it go out; the hold that stood, None where none did."""
    stood = load_hold(connection)
    connection.execute(update(instance).values(held_at=None, held_reason=None))
    return stood


def hold_on_strange_host(connection: Connection, node: str, now: datetime) -> bool:
    """Hold what is to be told where no node of this host ever worked on the database and none elsewhere is alive."""
    known = known_hosts(connection)
    if not known or host_of(node) in known or alive_hosts(connection, now):
        return False
    return hold_deliveries(connection, HoldReason.STRANGE_HOST, now).since == now


def leave_to_original(connection: Connection) -> int:
    """In a copy: what was still to be told is told by the desk that it is a copy of; how many these were.

    Each has that desk's name and token in its Message-ID, and its links in the mail. What had been given up can't
    be tried again here, for the same reason.
    """
    untold = update(outbox).where(outbox.c.state.in_(("waiting", "ready")))
    left = connection.execute(untold.values(
        state="superseded", reason="left_to_original", next_at=None, lease_owner=None, lease_until=None, message_id="",
        bytes=None,
    ))  # fmt: skip
    dead = update(outbox).where(outbox.c.state == "dead")
    connection.execute(dead.values(message_id="", bytes=None))
    return left.rowcount


def count_untold(connection: Connection, now: datetime) -> Counter[str]:
    """Notifications that wait for a hand-over, by ``in_time`` and ``expired``."""
    late = outbox.c.expires_at <= to_micros(now)
    query = select(late, func.count()).where(outbox.c.next_at.is_not(None)).group_by(late)
    return Counter({"expired" if row[0] else "in_time": row[1] for row in connection.execute(query)})
