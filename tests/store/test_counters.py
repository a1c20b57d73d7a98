"""Blocks of numbers."""

from __future__ import annotations

import pytest

from store.counters import reserve
from store.engine import Store
from store.errors import Absent


def test_blocks_follow_one_another(store: Store) -> None:
    with store.writing() as connection:
        first, second = reserve(connection, "row", 20), reserve(connection, "row", 1)
    assert (first, second) == (range(1, 21), range(21, 22))


def test_people_see_numbers_from_1001_on(store: Store) -> None:
    with store.writing() as connection:
        assert reserve(connection, "number", 2) == range(1001, 1003)


def test_counters_do_not_touch_each_other(store: Store) -> None:
    with store.writing() as connection:
        reserve(connection, "record", 5)
        assert reserve(connection, "receipt", 1) == range(1, 2)


def test_a_counter_that_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(Absent, match="no counter 'nothing'"), store.writing() as connection:
        reserve(connection, "nothing", 1)  # type: ignore[arg-type]
