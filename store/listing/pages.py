"""Pages: a list in pieces, each with a cursor that says where the next one begins."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from store.errors import StoreError

T = TypeVar("T")

#: The longest page: what fits in one query, and on one screen of a machine.
MOST = 1000


class BadCursor(StoreError):
    """The cursor is not one that a list gave; leave it out to begin at the start."""

    code = "store.cursor"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and the cursor of those after them; None at the end."""

    items: Sequence[T]
    next: str | None = None


def page_of(rows: Sequence[T], limit: int, place: Callable[[T], Sequence[int | str]]) -> tuple[Sequence[T], str | None]:
    """The first ``limit`` of ``rows`` and the cursor after them, when one more row was read than was asked for."""
    if len(rows) <= limit:
        return rows, None
    kept = rows[:limit]
    return kept, make_cursor(place(kept[-1]))


def make_cursor(place: Sequence[int | str]) -> str:
    """A place in a list as one word.

    >>> read_cursor(make_cursor((5, "P1")), (int, str))
    [5, 'P1']
    """
    return base64.urlsafe_b64encode(json.dumps(list(place), separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The place that a cursor names. Raises `BadCursor`."""
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError as error:
        raise BadCursor from error
    if not isinstance(place, list) or [type(value) for value in place] != list(kinds):
        raise BadCursor
    return place
