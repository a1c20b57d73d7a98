"""An assessment: one scoring of one incident, with a reason for every field. Never edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, get_args

Level = Literal["sev1", "sev2", "sev3", "sev4"]
Degree = Literal["high", "medium", "low"]  # of impact and urgency
Priority = Literal["P1", "P2", "P3", "P4", "P5"]
#: The same words, the strongest first.
LEVELS: tuple[Level, ...] = get_args(Level)
DEGREES: tuple[Degree, ...] = get_args(Degree)
PRIORITIES: tuple[Priority, ...] = get_args(Priority)


class Decided(NamedTuple):
    """One field's value and why it has it: a sentence, the rule that said so, the model when one did."""

    value: str | None
    reason: str
    rule: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Severity:
    """How bad it is: the chosen level; probabilities over ``sev1`` to ``sev4`` (None without a model)."""

    level: str
    probabilities: tuple[float, float, float, float] | None = None
    needs_person: bool = False


class Assessment(NamedTuple):
    """Every judged field of an incident: kind, service, category, impact, urgency, severity, priority, tier, team."""

    at: datetime
    fields: Mapping[str, Decided]
    severity: Severity
    policy_version: str

    def value(self, name: str) -> str | None:
        """What was decided for one field."""
        decided = self.fields.get(name)
        return None if decided is None else decided.value
