"""Every table, one file a concept. ``METADATA`` is complete once this package is imported."""

from __future__ import annotations

from store.columns import METADATA
from store.tables import incidents, instance, links, outbox, people, receipts, signals, targets, timeline

__all__ = [
    "METADATA", "incidents", "instance", "links", "outbox", "people", "receipts", "signals", "targets", "timeline",
]
