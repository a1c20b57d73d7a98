"""This desk: who it is, its counters, keys and nodes."""

from __future__ import annotations

from sqlalchemy import Table

from store.columns import METADATA, instant, raw, small, whole, word

instance = Table(
    "instance",
    METADATA,
    small("one", primary_key=True, autoincrement=False),  # always 1: a table of one row
    word("id"),
    small("schema"),  # the number of the newest migration
    instant("first_start"),
)

counters = Table(
    "counters",
    METADATA,
    word("name", primary_key=True),  # record, number, row
    whole("value"),  # the last one given out
)

keys = Table(
    "keys",
    METADATA,
    small("id", primary_key=True, autoincrement=False),
    word("purpose"),
    raw("secret"),
    instant("made_at"),
    instant("retired_at", nullable=True),
)

nodes = Table(
    "nodes",
    METADATA,
    word("name", primary_key=True),
    instant("started_at"),
    instant("alive_at"),
)
