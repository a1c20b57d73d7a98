"""What doors accepted: receipts, their place in the inbox, and the raw bytes."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table, text

from store.columns import METADATA, document, ident, instant, raw, small, whole, word

receipts = Table(
    "receipts",
    METADATA,
    ident(),
    word("source"),
    word("format"),  # mail, alertmanager, pagerduty, json: what reads the bytes
    raw("key", nullable=True, unique=True),
    instant("received_at"),
    document("envelope"),  # mail: {"from", "to", "peer", …}; POST: {"type", "peer"}
    raw("content"),  # SHA-256 of the body, a row (or rows) of contents
    whole("size"),  # bytes as they came
    word("state"),  # waiting, worked, quarantined, discarded
    small("attempts"),  # takes of this receipt alone that ended without a verdict
    word("lease_owner", nullable=True),
    instant("lease_until", nullable=True),
    document("counts", nullable=True),  # signals by disposition, once worked
    word("error", nullable=True),
    instant("worked_at", nullable=True),
)
#: The inbox as a claim sees it: what nobody has had yet, and what somebody has or had without a verdict.
Index(
    "ix_receipts_fresh", receipts.c.id,
    sqlite_where=text("state = 'waiting' AND lease_owner IS NULL"),
    postgresql_where=text("state = 'waiting' AND lease_owner IS NULL"),
)
Index(
    "ix_receipts_leased", receipts.c.lease_until,
    sqlite_where=text("lease_owner IS NOT NULL"), postgresql_where=text("lease_owner IS NOT NULL"),
)
Index(
    "ix_receipts_quarantined", receipts.c.id,
    sqlite_where=text("state = 'quarantined'"), postgresql_where=text("state = 'quarantined'"),
)
Index(
    "ix_receipts_discarded", receipts.c.id,
    sqlite_where=text("state = 'discarded'"), postgresql_where=text("state = 'discarded'"),
)

contents = Table(
    "contents",
    METADATA,
    raw("hash"),
    small("part"),
    raw("bytes"),  # as store.compress makes them
    PrimaryKeyConstraint("hash", "part"),
)
