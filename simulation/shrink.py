"""Makes a broken story short: leaves out whatever can be left out so that the same guarantee still breaks.

This is delta debugging: halves first, then smaller and smaller pieces, until no single event can go or the time is
over. Events stand alone, so any part of a story is a story.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulation.events import Event
from simulation.play import Failure

Plays = Callable[[Sequence[Event]], "Failure | None"]


@dataclass(frozen=True)
class Short:
    """The shortest story found, how it breaks, and how many were played to find it."""

    events: Sequence[Event]
    failure: Failure
    played: int


def shrink(events: Sequence[Event], failure: Failure, plays: Plays, *, seconds: float) -> Short:
    """The shortest story found within ``seconds`` of processor time that breaks the same guarantee."""
    until, played = time.process_time() + seconds, 0
    kept = [event for event in events if event.at <= failure.at]
    pieces = 2
    while kept and time.process_time() < until:
        size = -(-len(kept) // pieces)
        for start in range(0, len(kept), size):
            some = kept[:start] + kept[start + size :]
            played += 1
            found = plays(some)
            if found is not None and found.invariant == failure.invariant:
                kept = [event for event in some if event.at <= found.at]
                failure, pieces = found, max(pieces - 1, 2)
                break
            if time.process_time() > until:
                break
        else:
            if size == 1:
                break
            pieces = min(2 * pieces, len(kept))
    return Short(kept, failure, played)
