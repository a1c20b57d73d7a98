"""Impact by urgency gives priority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incidents.assessment import PRIORITIES


@dataclass(frozen=True, slots=True)
class Matrix:
    """One business unit's table: ``cells[impact][urgency]`` is a priority."""

    name: str
    cells: Mapping[str, Mapping[str, str]]

    def priority(self, impact: str, urgency: str) -> str:
        """The priority in that cell."""
        return self.cells[impact][urgency]


def more_urgent(*priorities: str) -> str:
    """The most urgent of some priorities.

    >>> more_urgent("P3", "P1")
    'P1'
    """
    return min(priorities, key=PRIORITIES.index)
