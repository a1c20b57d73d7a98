"""A desk with years behind it: incidents, signals and all their rows, put in by bulk."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator

from sqlalchemy import Table

from store.bulk import insert_rows
from store.counters import reserve
from store.engine import Store
from store.tables.incidents import CLOSED, assessments, incidents
from store.tables.outbox import budgets, outbox
from store.tables.people import addresses, people
from store.tables.receipts import contents, receipts
from store.tables.signals import fold_keys, signals
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values
from store.upkeep import checkpoint_wal

SIGNALS_EACH = 5
_AT_ONCE = 2_000
_LABELS = json.dumps({"alertname": "DiskAlmostFull", "service": "shop", "severity": "warning", "job": "node"})
_FIELDS = json.dumps({
    name: ["medium", "the policy's table says so for this service and this hint", "priority.yml:12", None]
    for name in ("service", "kind", "impact", "urgency", "priority", "severity", "start_tier", "team")
})  # fmt: skip
_SEVERITY = '{"level":"sev3","probabilities":null,"needs_person":false}'
_LEAVES = json.dumps(dict.fromkeys(("title", "source", "decided", "receipt", "text", "visibility"), "ab" * 32))
_VALUES = json.dumps({name: ["cd" * 16, "what an entry says " * 8] for name in ("title", "decided", "text")})

Rows = list[tuple[object, ...]]


def fill(store: Store, *, incidents: int, open_every: int = 10) -> None:
    """Put so many incidents there, some open and the others closed, each with five signals and all that goes along."""
    for start in range(0, incidents, _AT_ONCE):
        count = min(_AT_ONCE, incidents - start)
        with store.writing() as connection:
            ids = reserve(connection, "record", count)
            numbers = reserve(connection, "number", count)
            row = iter(reserve(connection, "row", count * 13))
            receipt = iter(reserve(connection, "receipt", count * SIGNALS_EACH))
            made: dict[Table, Rows] = {}
            for record, number in zip(ids, numbers, strict=True):
                is_open = record % open_every == 0
                for table, rows in _record(record, number, is_open=is_open, row=row, receipt=receipt):
                    made.setdefault(table, []).extend(rows)
            for table, rows in made.items():
                insert_rows(connection, table, rows)
        checkpoint_wal(store)


def _record(
    record: int, number: int, *, is_open: bool, row: Iterator[int], receipt: Iterator[int]
) -> Iterator[tuple[Table, Rows]]:
    """All rows of one incident."""
    at = int(time.time() * 1e6) - 365 * 86_400_000_000 + record * 150_000_000
    closed_at = None if is_open else at + 3_600_000_000
    state = "new" if is_open else "closed"
    digest = hashlib.sha256(str(record).encode()).digest()
    due_at = at + 10**15 if is_open else None
    title, host = f"DiskAlmostFull on shop-{record}.example.net", f"shop-{record}.example.net:9100"
    yield fold_keys, [(
        f"alert:prom:{digest.hex()[:16]}", record, at, "firing" if is_open else "resolved", closed_at, number,
        digest[:8], 1, SIGNALS_EACH, at, 1,
    )]  # fmt: skip
    yield incidents, [(
        record, number, "incident", None, title, state, "platform", None, "shop", None, 0, "standard", at, at,
        closed_at, 3, 0, "P3", "sev3", 0, "medium", "medium", "sev3", None, 1, "prom", None, None, None, host,
        "http://prometheus.example.net/graph", _LABELS, None, None, None, closed_at, closed_at,
        None if is_open else "self_healed", int(is_open), 0, 3, digest, due_at or CLOSED,
    )]  # fmt: skip
    heard = [next(receipt) for _ in range(SIGNALS_EACH)]
    yield signals, [
        (
            next(row), one, "prom", hashlib.sha256(f"{record}.{one}".encode()).digest(), at, title, "firing",
            "opened" if one == heard[0] else "folded", record, None, None,
        )
        for one in heard
    ]  # fmt: skip
    yield receipts, [
        (
            one, "prom", "alertmanager", None, at, '{"type":"application/json"}',
            hashlib.sha256(f"body {one}".encode()).digest(), 6000, "worked", 0, None, None, '{"opened":1}', None, at,
        )
        for one in heard
    ]  # fmt: skip
    yield contents, [(hashlib.sha256(f"body {heard[0]}".encode()).digest(), 0, bytes(200))]
    yield assessments, [(next(row), record, at, _FIELDS, _SEVERITY, "0123456789ab")]
    yield timeline, [(record, seq, at, at, "opened", 1, _LEAVES, digest) for seq in (1, 2, 3)]
    yield timeline_values, [(record, seq, _VALUES) for seq in (1, 2, 3)]
    yield targets, [
        (
            next(row), record, name, "running" if is_open else "met", at, at + 10**15, due_at, 3600, "always", 1,
            None, None, None, 0, 0, 0, None, None,
        )
        for name in ("sla.respond", "sla.restore", "sla.resolve")
    ]  # fmt: skip
    yield outbox, [(
        next(row), record, "escalation", 1, f"person{record % 50}@example.com", "mail", 3, f"{record}@desk.example.com",
        "{}", "delivered", None, None, 1, at, None, at, None, 0, None, None,
    )]  # fmt: skip
    person = next(row)
    yield people, [(person, None, f"Person {record}", None, None, None)]
    yield addresses, [(f"person{record}@example.org", person, None, None, None)]
    yield budgets, [(f"person{record}@example.org", "automatic", at // 3_600_000_000 * 3_600_000_000, 1)]
