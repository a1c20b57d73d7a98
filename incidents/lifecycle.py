"""How work moves: states, the moves between them, and what a person must have filled in before one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class State:
    """``needs`` bind people, not machines; ``clock_stops`` pauses the targets that may be paused."""

    name: str
    label: str
    needs: Sequence[str] = ()
    clock_stops: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed move. ``within`` bounds how long after the state was entered; ``roles`` who may, when not all."""

    start: str
    end: str
    within: timedelta | None = None
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The states of one kind, and its moves by (start, end).

    ``close_after`` is the time from resolved to closed; ``stays_restored_for`` names the priorities at which a
    machine's restore waits for the business; ``reopen_within`` bounds reopening what is closed.
    """

    kind: str
    states: Mapping[str, State]
    moves: Mapping[tuple[str, str], Move]
    close_after: timedelta
    reopen_within: timedelta
    stays_restored_for: frozenset[str]

    def move(self, start: str, end: str) -> Move | None:
        """The move from one state to another, if there is one."""
        return self.moves.get((start, end))

    def ends_from(self, start: str) -> Sequence[str]:
        """Where one may go from a state, for a sentence that says what was expected."""
        return tuple(end for begin, end in self.moves if begin == start)
