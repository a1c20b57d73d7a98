"""Every clock, and its timer."""

from __future__ import annotations

from sqlalchemy import Index, Table, text

from store.columns import METADATA, ident, instant, small, whole, word

targets = Table(
    "targets",
    METADATA,
    ident(),
    whole("subject"),
    word("name"),
    word("state"),
    instant("started_at"),
    instant("due_at"),
    instant("next_at", nullable=True),
    whole("length"),  # seconds
    word("calendar"),
    whole("start_event", nullable=True),
    whole("stop_event", nullable=True),
    instant("met_at", nullable=True),
    instant("paused_at", nullable=True),
    small("warned"),
    small("step"),
    small("round"),
    word("lease_owner", nullable=True),
    instant("lease_until", nullable=True),
)
Index("ix_targets_subject", targets.c.subject)
Index(
    "ix_targets_next_at", targets.c.next_at,
    sqlite_where=text("next_at IS NOT NULL"), postgresql_where=text("next_at IS NOT NULL"),
)
Index(
    "ix_targets_leased", targets.c.lease_until,
    sqlite_where=text("lease_owner IS NOT NULL"), postgresql_where=text("lease_owner IS NOT NULL"),
)
