"""Ids in blocks: reserved in the claim's transaction, so that hashes and tokens are made before the lock."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from store.counters import Counter, reserve
from store.engine import Store

#: What a turn of 100 new incidents takes of each counter, with room.
_ENOUGH: dict[Counter, int] = {"record": 500, "row": 4000}


class Ids:
    """Ids for the turns of one process. Gaps are allowed: what a process did not use is never used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left: dict[Counter, int] = dict.fromkeys(_ENOUGH, 0)
        self._blocks: dict[Counter, Iterator[int]] = {name: iter(()) for name in _ENOUGH}

    def top_up(self, connection: Connection) -> None:
        """Reserve new blocks where little is left, in a transaction that writes anyway."""
        for name, enough in _ENOUGH.items():
            if self._left[name] < enough:
                self._take(connection, name, 2 * enough)

    def record(self) -> int:
        """The id of a new record."""
        return self._next("record")

    def row(self) -> int:
        """The id of any other new row."""
        return self._next("row")

    def _next(self, name: Counter) -> int:
        if not self._left[name]:  # a turn larger than foreseen; it holds no lock while it decides
            with self._store.writing() as connection:
                self._take(connection, name, _ENOUGH[name])
        self._left[name] -= 1
        return next(self._blocks[name])

    def _take(self, connection: Connection, name: Counter, count: int) -> None:
        rest = list(self._blocks[name])
        self._blocks[name] = iter([*rest, *reserve(connection, name, count)])
        self._left[name] = len(rest) + count
