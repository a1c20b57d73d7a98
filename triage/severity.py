"""How bad it is, without a model. The learned scorer will stand in the place of `judge_severity`."""

from __future__ import annotations

from collections.abc import Mapping

from incidents.assessment import LEVELS, Decided, Severity
from rules.policy import HintLine


def judge_severity(
    *, floor: Decided | None, hint: str | None, priority: str, table: Mapping[str, HintLine]
) -> tuple[Severity, Decided]:
    """Severity without a model: the strongest of floor and sender's hint, else what the table gives for the priority.

    Probabilities are None: nothing was learned yet, and a guess would look like knowledge.
    """
    if hint is not None and (floor is None or LEVELS.index(hint) < LEVELS.index(str(floor.value))):
        return Severity(hint), Decided(hint, "the sender said so")
    if floor is not None:
        return Severity(str(floor.value)), floor
    level = next((name for name in LEVELS if table[name].priority >= priority), LEVELS[-1])
    return Severity(level), Decided(level, f"what the policy's table gives for {priority}")
