"""Escalation paths: who is told next, if nobody moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Step:
    """``after`` is counted from the start of the round; ``tell`` is a phrase such as ``on_call of team``."""

    after: timedelta
    tell: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """Steps in order of ``after``, played ``1 + repeat`` times, until somebody acknowledges."""

    name: str
    steps: Sequence[Step]
    repeat: int = 0


class Due(NamedTuple):
    """What a path says at an instant: fire ``step`` of ``round``, having missed those before; look again then."""

    step: int
    round: int
    missed: Sequence[int]
    next_step: int
    next_round: int
    next_at: datetime | None


#: A step found due this much later than planned was held up by a stop of the desk, so the rest counts from now.
LATE = timedelta(minutes=1)


def due(path: Path, *, step: int, round: int, planned: datetime, now: datetime) -> Due:  # noqa: A002 - the column's name
    """What fires at ``now``, when ``step`` of ``round`` was planned for ``planned`` (which has come).

    After a stop only the latest due step of the round fires; earlier ones are missed, later ones count from now.
    """
    last, at = step, planned
    while last + 1 < len(path.steps):
        gap = path.steps[last + 1].after - path.steps[last].after
        if at + gap > now or not gap:
            break
        last, at = last + 1, at + gap
    base = now if now - at > LATE else at
    following = _following(path, last, round)
    if following is None:
        return Due(last, round, tuple(range(step, last)), last, round, None)
    next_step, next_round, gap = following
    return Due(last, round, tuple(range(step, last)), next_step, next_round, base + gap)


def _following(path: Path, step: int, round: int) -> tuple[int, int, timedelta] | None:  # noqa: A002 - as above
    """The step after this one, its round, and the time between them."""
    if step + 1 < len(path.steps):
        return step + 1, round, path.steps[step + 1].after - path.steps[step].after
    if round < path.repeat:
        pause = path.steps[-1].after - path.steps[-2].after if len(path.steps) > 1 else path.steps[0].after
        return 0, round + 1, max(pause, timedelta(minutes=1))
    return None
