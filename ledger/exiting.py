"""A store that ends its process at one step: the product has no crash hooks, so the ledger brings them."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from store.engine import Kind, Store
from store.write import Writing

#: The exit status of a process that ended at its step.
ENDED = 9
#: Before a transaction begins, with all of it written and nothing committed, and once it is committed.
MOMENTS = ("before", "inside", "after")


class Step(NamedTuple):
    """A write transaction, named by the function that makes it, and a moment of it."""

    place: str
    moment: str


class ExitingStore:
    """A `Store` that ends the process at ``step`` once it is ``armed``; ``places`` are all that it has seen."""

    def __init__(self, store: Store, step: Step | None) -> None:
        self._store, self._step = store, step
        self.armed = False
        self.places: set[str] = set()

    @property
    def kind(self) -> Kind:
        """As the store's."""
        return self._store.kind

    @property
    def path(self) -> Path | None:
        """As the store's."""
        return self._store.path

    @property
    def engine(self) -> Engine:
        """As the store's."""
        return self._store.engine

    def reading(self) -> AbstractContextManager[Connection]:
        """As the store's."""
        return self._store.reading()

    def writing(self) -> ExitingWriting:
        """A write transaction that may be the last thing that happens."""
        place = _place()
        if self.armed:
            self.places.add(place)
        return ExitingWriting(self, self._store.writing(), place)

    def close(self) -> None:
        """As the store's."""
        self._store.close()

    def reach(self, step: Step) -> None:
        """End here, without a word, if this is the step."""
        if self.armed and step == self._step:
            os._exit(ENDED)


class ExitingWriting(Writing):
    """A `Writing` that passes three moments."""

    def __init__(self, store: ExitingStore, writing: Writing, place: str) -> None:
        self._store, self._writing, self._place = store, writing, place

    def __enter__(self) -> Connection:
        self._store.reach(Step(self._place, "before"))
        return self._writing.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._store.reach(Step(self._place, "inside"))
        self._writing.__exit__(kind, error, traceback)
        self.held_seconds = self._writing.held_seconds
        if error is None:
            self._store.reach(Step(self._place, "after"))


def _place() -> str:
    """The nearest caller that is a part of the daemon."""
    frame = sys._getframe(2)  # noqa: SLF001 - the only way to ask who calls
    while frame.f_back is not None and not frame.f_globals["__name__"].startswith("daemon."):
        frame = frame.f_back
    return f"{frame.f_globals['__name__'].removeprefix('daemon.')}.{frame.f_code.co_name}"
