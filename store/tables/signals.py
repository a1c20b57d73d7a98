"""What working receipts yields: signals, and the fold keys that later signals are recognised by."""

from __future__ import annotations

from sqlalchemy import Index, Table, text

from store.columns import METADATA, ident, instant, raw, small, whole, word

signals = Table(
    "signals",
    METADATA,
    ident(),
    whole("receipt"),
    word("source"),
    raw("key", nullable=True, unique=True),
    instant("received_at"),
    word("title"),
    word("status"),  # the alert's word; "mail" for a mail
    word("disposition"),
    whole("incident", nullable=True),
    whole("repeats", nullable=True),  # a duplicate names the first
    word("reason", nullable=True),
)
Index("ix_signals_receipt", signals.c.receipt)
Index(
    "ix_signals_incident", signals.c.incident,
    sqlite_where=text("incident IS NOT NULL"), postgresql_where=text("incident IS NOT NULL"),
)
#: Among the many that opened or changed a record, those that did not.
Index(
    "ix_signals_rare", signals.c.disposition, signals.c.receipt, signals.c.id,
    sqlite_where=text("disposition <> 'opened' AND disposition <> 'folded'"),
    postgresql_where=text("disposition <> 'opened' AND disposition <> 'folded'"),
)

fold_keys = Table(
    "fold_keys",
    METADATA,
    word("key", primary_key=True),
    whole("incident", nullable=True),  # none after a resolve that came first
    instant("episode"),
    word("status"),  # firing, resolved; "mail"
    instant("ended_at", nullable=True),
    whole("receipt"),  # the newest that spoke of the present state
    raw("digest"),  # of what a firing may change: title, summary, labels, annotations
    small("own_start"),  # 1: the sender names episodes itself
    whole("signals"),
    instant("last_seen_at"),
    whole("version"),
)
Index(
    "ix_fold_keys_incident", fold_keys.c.incident,
    sqlite_where=text("incident IS NOT NULL"), postgresql_where=text("incident IS NOT NULL"),
)
