"""People, their addresses, and who takes part in which record."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint, Table

from store.columns import METADATA, ident, instant, whole, word

people = Table(
    "people",
    METADATA,
    ident(),
    word("handle", nullable=True, unique=True),
    word("name"),
    word("language", nullable=True),
    word("zone", nullable=True),
    instant("erased_at", nullable=True),
)

addresses = Table(
    "addresses",
    METADATA,
    word("address", primary_key=True),
    whole("person"),
    instant("verified_at", nullable=True),
    instant("suppressed_at", nullable=True),
    word("reason", nullable=True),
)
Index("ix_addresses_person", addresses.c.person)

participants = Table(
    "participants",
    METADATA,
    whole("subject"),
    whole("person"),  # 0 where a team takes part
    word("team"),  # empty where a person does
    word("role"),  # requester, watcher, agent, machine (whose mail opened the record)
    instant("since"),
    instant("until", nullable=True),
    PrimaryKeyConstraint("subject", "person", "team", "role"),
)
