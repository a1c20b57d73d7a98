"""What is to be told, every attempt to tell it, and the budgets of automatic mail."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table, text

from store.columns import METADATA, document, ident, instant, raw, small, whole, word

outbox = Table(
    "outbox",
    METADATA,
    ident(),
    whole("subject", nullable=True),  # none for a notice of many pages
    word("kind"),  # acknowledgement, reply, status, escalation, deadline, notice
    whole("person"),
    word("recipient"),
    word("channel"),
    small("rank"),  # the priority as a number, 1 first
    word("message_id"),
    document("facts"),  # what the template needs that may have changed by then
    word("state"),  # waiting, ready, delivered, dead, superseded, suppressed, collapsed
    word("reason", nullable=True),
    raw("bytes", nullable=True),  # as store.compress makes them
    small("attempts"),
    instant("created_at"),
    instant("next_at", nullable=True),
    instant("expires_at"),
    whole("notice", nullable=True),  # a collapsed page names the notice that tells it
    whole("members"),  # how many pages a notice tells
    word("lease_owner", nullable=True),
    instant("lease_until", nullable=True),
)
Index("ix_outbox_subject", outbox.c.subject)
Index(
    "ix_outbox_next_at", outbox.c.state, outbox.c.rank, outbox.c.next_at,
    sqlite_where=text("next_at IS NOT NULL"), postgresql_where=text("next_at IS NOT NULL"),
)
Index(
    "ix_outbox_notice", outbox.c.notice,
    sqlite_where=text("notice IS NOT NULL"), postgresql_where=text("notice IS NOT NULL"),
)
Index(
    "ix_outbox_leased", outbox.c.lease_until,
    sqlite_where=text("lease_owner IS NOT NULL"), postgresql_where=text("lease_owner IS NOT NULL"),
)
#: Among the many that were delivered, those that nobody got.
Index(
    "ix_outbox_undelivered", outbox.c.state, outbox.c.id,
    sqlite_where=text("state <> 'waiting' AND state <> 'ready' AND state <> 'delivered'"),
    postgresql_where=text("state <> 'waiting' AND state <> 'ready' AND state <> 'delivered'"),
)

deliveries = Table(
    "deliveries",
    METADATA,
    ident(),
    whole("outbox"),
    instant("at"),
    word("outcome"),  # delivered, delayed, failed
    word("code", nullable=True),
    word("text", nullable=True),
)
Index("ix_deliveries_outbox", deliveries.c.outbox)

budgets = Table(
    "budgets",
    METADATA,
    word("address"),
    word("kind"),  # automatic, page, reopen
    instant("hour"),  # where a slot of five minutes begins; the name is older
    whole("count"),
    PrimaryKeyConstraint("address", "kind", "hour"),
)
