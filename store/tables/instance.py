"""This desk: who it is, its counters, keys and nodes, and what retention did."""

from __future__ import annotations

from sqlalchemy import Table

from store.columns import METADATA, document, ident, instant, raw, small, whole, word

instance = Table(
    "instance",
    METADATA,
    small("one", primary_key=True, autoincrement=False),  # always 1: a table of one row
    word("id"),
    small("schema"),  # the number of the newest migration
    instant("first_start"),
    instant("held_at", nullable=True),  # while set, nothing is handed over
    word("held_reason", nullable=True),  # restored, strange_host, by_hand
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

sweeps = Table(
    "sweeps",
    METADATA,
    ident(),
    instant("at"),
    document("counts"),  # what one day's retention deleted, and how far it got
)
