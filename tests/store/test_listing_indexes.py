"""Lists are read along an index, so that years of records, signals and mails cost them nothing (P9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, event

from rules.lifecycle import STATES
from store.engine import Store, open_store
from store.listing.incidents import Wanted, list_incidents
from store.listing.outbox import list_outbox
from store.listing.pages import make_cursor
from store.listing.signals import Asked, list_signals
from store.tables.incidents import CLOSED

_IN_ORDER = "incidents USING INDEX ix_incidents_queue"
_AFTER = make_cursor((CLOSED, "P3", 1000))


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """SQLite, which tells its plan whatever the tables hold."""
    with closing(open_store(sqlite_url)) as opened:
        yield opened


def _plans(store: Store, read: Callable[[Connection], Any]) -> list[str]:
    """How each statement of a reading is worked."""
    asked: list[tuple[str, Any]] = []
    event.listen(store.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    with store.reading() as connection:
        read(connection)
        return [
            "; ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given))
            for statement, given in list(asked)
            if statement.startswith("SELECT")
        ]


@pytest.mark.parametrize("wanted", [
    Wanted(), Wanted(STATES), Wanted(("closed",)), Wanted(("waiting_vendor",)), Wanted(team="platform"),
    Wanted(("new",), "platform"),
])  # fmt: skip
@pytest.mark.parametrize("cursor", [None, _AFTER])
def test_the_queue_is_in_order_as_it_is_read(store: Store, wanted: Wanted, cursor: str | None) -> None:
    plan, *_ = _plans(store, lambda connection: list_incidents(connection, wanted, limit=50, cursor=cursor))
    assert _IN_ORDER in plan
    assert "B-TREE" not in plan


@pytest.mark.parametrize(("asked", "index"), [
    (Asked(), "ix_signals_receipt"), (Asked(disposition="spam"), "ix_signals_rare"),
    (Asked(state="quarantined"), "ix_receipts_quarantined"), (Asked(state="discarded"), "ix_receipts_discarded"),
    (Asked(state="waiting"), "ix_receipts_fresh"), (Asked(state="waiting"), "ix_receipts_leased"),
])  # fmt: skip
def test_signals_are_found_among_many_by_what_became_of_them(store: Store, asked: Asked, index: str) -> None:
    plans = _plans(store, lambda connection: list_signals(connection, asked, limit=50))
    assert index in "; ".join(plans)
    assert not [plan for plan in plans if "SCAN receipts" in plan and "USING" not in plan]


def test_notifications_that_nobody_got_are_found_among_many(store: Store) -> None:
    (plan,) = _plans(store, lambda connection: list_outbox(connection, states=("dead",), limit=50))
    assert "ix_outbox_undelivered" in plan
    assert "B-TREE" not in plan
