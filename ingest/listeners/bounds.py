"""What all doors share: counting what they see, and a bound on the bytes that wait in memory (G9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Meter(Protocol):
    """Counts events; every label value comes from a closed set, never from outside."""

    def count(self, name: str, **labels: str) -> None:
        """One more of ``name``, such as ``limit_total`` with ``kind``."""


@dataclass(slots=True)
class Room:
    """The bytes that all requests of a door may hold at once; used by the event loop alone.

    >>> room = Room(10)
    >>> room.take(8), room.take(8)
    (True, False)
    >>> room.give(8)
    >>> room.take(8)
    True
    """

    size: int
    used: int = 0

    def take(self, amount: int) -> bool:
        """Reserve ``amount`` bytes; False, and nothing reserved, where they are not free."""
        if self.used + amount > self.size:
            return False
        self.used += amount
        return True

    def give(self, amount: int) -> None:
        """Free what was taken."""
        self.used -= amount
