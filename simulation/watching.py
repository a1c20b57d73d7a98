"""What the database says moved since the last look, by a connection of the simulation's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Moved:
    """The rows that moved, by table; ``new`` are the inserted ones. In the order of their first move."""

    rows: dict[str, dict[int, bool]] = field(default_factory=dict)

    def of(self, table: str) -> list[int]:
        """The numbers of a table's rows that moved."""
        return list(self.rows.get(table, ()))

    def new(self, table: str) -> list[int]:
        """Those of them that are new."""
        return [number for number, new in self.rows.get(table, {}).items() if new]


class Watch:
    """Reads the database beside the product."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._place = 0

    def close(self) -> None:
        """No more looks."""
        self._connection.close()

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def value(self, query: str, *values: object) -> object:
        """The first value of the first row; None where there is none."""
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    def number(self, query: str, *values: object) -> int | None:
        """The same where it is a whole number."""
        value = self.value(query, *values)
        return value if isinstance(value, int) else None

    def among(self, query: str, numbers: list[int]) -> Iterator[sqlite3.Row]:
        """The rows of a query that ends in ``IN`` for these numbers."""
        for start in range(0, len(numbers), 500):
            some = numbers[start : start + 500]
            yield from self._connection.execute(f"{query} ({','.join('?' * len(some))})", some)

    def moved(self) -> Moved:
        """What moved since the last call."""
        moved = Moved()
        for row in self._connection.execute("SELECT * FROM moved WHERE place > ? ORDER BY place", (self._place,)):
            self._place = row["place"]
            moved.rows.setdefault(row["name"], {}).setdefault(row["number"], bool(row["new"]))
        return moved
