"""The append-only chain: entries, their values apart, checkpoints over the heads, tombstones."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table

from store.columns import METADATA, document, ident, instant, raw, whole, word

timeline = Table(
    "timeline",
    METADATA,
    whole("subject"),
    whole("seq"),
    instant("occurred_at"),
    instant("recorded_at"),
    word("kind"),
    whole("author"),
    document("leaves"),  # {name: leaf hash in hex}
    raw("hash"),
    PrimaryKeyConstraint("subject", "seq"),
)
Index("ix_timeline_recorded_at", timeline.c.recorded_at)

timeline_values = Table(
    "timeline_values",
    METADATA,
    whole("subject"),
    whole("seq"),
    document("values"),  # {name: [salt, value]}, or {name: {"erased_at", "reason"}}
    PrimaryKeyConstraint("subject", "seq"),
)

checkpoints = Table(
    "checkpoints",
    METADATA,
    ident(),
    instant("at"),
    raw("hash"),
)

checkpoint_heads = Table(
    "checkpoint_heads",
    METADATA,
    whole("checkpoint"),
    whole("subject"),
    whole("seq"),
    raw("hash"),
    PrimaryKeyConstraint("checkpoint", "subject"),
)
Index("ix_checkpoint_heads_subject", checkpoint_heads.c.subject)

tombstones = Table(
    "tombstones",
    METADATA,
    whole("subject", primary_key=True, autoincrement=False),
    whole("seq"),
    raw("hash"),
    word("rule"),
    instant("at"),
)
