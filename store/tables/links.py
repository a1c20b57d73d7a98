"""How records stand to one another."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table

from store.columns import METADATA, instant, whole, word

links = Table(
    "links",
    METADATA,
    whole("from"),
    whole("to"),
    word("relation"),
    instant("since"),
    instant("until", nullable=True),
    whole("author"),
    word("note", nullable=True),
    PrimaryKeyConstraint("from", "to", "relation"),
)
Index("ix_links_to", links.c.to)
