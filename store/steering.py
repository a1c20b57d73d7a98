"""What an operator does to rows that stand still: try again, or give up."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, case, or_, select, update

from incidents.effects import PAGES
from kit.instants import to_micros
from kit.text import clean_text
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.signals import fold_keys

#: How long a notification that is tried again may take, as for a new one.
MAIL_EXPIRES = timedelta(days=5)
PAGE_EXPIRES = timedelta(days=1)
_MOST_REASON = 1000  # characters


def replay_receipt(connection: Connection, number: int) -> bool:
    """Put a receipt from quarantine back to what waits; False when it is not there."""
    values = {
        "state": "waiting", "attempts": 0, "lease_owner": None, "lease_until": None, "error": None, "worked_at": None,
    }  # fmt: skip
    return bool(connection.execute(update(receipts).where(_quarantined(number)).values(values)).rowcount)


def discard_receipt(connection: Connection, number: int, *, disposition: str, now: datetime) -> bool:
    """Give a receipt in quarantine up, counted as one item of ``disposition``; False when it is not there."""
    row = connection.execute(select(receipts.c.counts).where(_quarantined(number))).one_or_none()
    if row is None:
        return False
    counts = Counter(json.loads(row.counts or "{}")) + Counter({disposition: 1})
    values = {"state": "discarded", "counts": json.dumps(counts), "worked_at": to_micros(now)}
    return bool(connection.execute(update(receipts).where(_quarantined(number)).values(values)).rowcount)


def quarantine_record(connection: Connection, number: int) -> int | None:
    """The id of the record that was opened for a receipt in quarantine."""
    source = select(receipts.c.source).where(receipts.c.id == number).scalar_subquery()
    named = or_(fold_keys.c.key == f"receipt:{number}", fold_keys.c.key == "quarantine:" + source)
    query = select(fold_keys.c.incident).where(named).order_by(fold_keys.c.key.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def retry_notification(connection: Connection, number: int, now: datetime) -> bool:
    """Try a notification again now, with the bytes that were fixed; False when it can't be or is being tried."""
    expires_at = case(
        (outbox.c.kind.in_([str(kind) for kind in PAGES]), to_micros(now + PAGE_EXPIRES)),
        else_=to_micros(now + MAIL_EXPIRES),
    )
    values = {
        "state": case((outbox.c.bytes.is_(None), "waiting"), else_="ready"), "attempts": 0, "reason": None,
        "next_at": to_micros(now), "expires_at": expires_at, "lease_owner": None, "lease_until": None,
    }  # fmt: skip
    free = and_(_free(number, now), outbox.c.state.in_(("dead", "waiting", "ready")), outbox.c.message_id != "")
    return bool(connection.execute(update(outbox).where(free).values(values)).rowcount)


def discard_notification(connection: Connection, number: int, *, reason: str, now: datetime) -> bool:
    """Give a notification up; False when it is over already or being tried."""
    values = {
        "state": "dead", "reason": clean_text(f"discarded: {reason}", _MOST_REASON), "next_at": None,
        "lease_owner": None, "lease_until": None,
    }  # fmt: skip
    waiting = and_(_free(number, now), outbox.c.state.in_(("waiting", "ready")))
    return bool(connection.execute(update(outbox).where(waiting).values(values)).rowcount)


def _quarantined(number: int) -> ColumnElement[bool]:
    return and_(receipts.c.id == number, receipts.c.state == "quarantined")


def _free(number: int, now: datetime) -> ColumnElement[bool]:
    """The notification, unless somebody hands it over right now."""
    return and_(outbox.c.id == number, or_(outbox.c.lease_owner.is_(None), outbox.c.lease_until <= to_micros(now)))
