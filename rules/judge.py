"""Asks every rule and floor at once, and says what they decide together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from operator import itemgetter
from typing import NamedTuple

from incidents.assessment import DEGREES, LEVELS, Decided
from rules.asked import Asked
from rules.conditions import ORIGINS, Holds, compile_conditions
from rules.language import Language
from rules.policy import Judged
from rules.priority import Effects, Floor, PriorityFile, Rule

_ORDERED = ("impact", "urgency")


_UNORDERED = -1  # the rank of a value that no later one is stronger than


class _Spoken(NamedTuple):
    """What a rule says when it speaks: its values, each with its rank (0 is strongest) where the field is ordered.

    ``floor`` is what a floor says of the severity, with its rank.
    """

    holds: Holds
    values: Sequence[tuple[str, int, Decided]]
    floor: tuple[int, Decided] | None


def compile_judge(
    written: PriorityFile, find_service: Callable[[Asked], Decided], language: Language
) -> Callable[[Asked], Judged]:
    """One function for all rules and floors. Floors go first: what they set beside goes before what rules set.

    Rules are sorted by ``from`` once, so that an alert does not ask those about mail.
    """
    by_origin: dict[str, list[_Spoken]] = {origin: [] for origin in ORIGINS}
    rules: list[Rule | Floor] = [*written.floors, *written.all]
    for rule in rules:
        spoken = _spoken(rule, language)
        for origin in rule.origin or ORIGINS:
            by_origin[origin].append(spoken)

    def judge(asked: Asked) -> Judged:
        found = find_service(asked)
        asked.service = found.value
        spoken = [rule for rule in by_origin[asked.facts.origin] if rule.holds(asked)]
        said, floor = _strongest(spoken)
        said.setdefault("service", found)
        return Judged(said, floor)

    return judge


def _strongest(spoken: Sequence[_Spoken]) -> tuple[dict[str, Decided], Decided | None]:
    """For every field the strongest word, the first one of equals; and the strongest floor."""
    said: dict[str, tuple[int, Decided]] = {}
    floors = [rule.floor for rule in spoken if rule.floor is not None]
    for rule in spoken:
        for name, rank, decided in rule.values:
            if name not in said or rank < said[name][0]:
                said[name] = (rank, decided)
    floor = min(floors, key=itemgetter(0))[1] if floors else None
    return {name: decided for name, (_, decided) in said.items()}, floor


def _spoken(rule: Rule | Floor, language: Language) -> _Spoken:
    holds = compile_conditions(replace(rule, origin=()), language)
    values = []
    for each in fields(Effects):
        value = getattr(rule.set, each.name)
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            rank = DEGREES.index(text) if each.name in _ORDERED else _UNORDERED
            values.append((each.name, rank, Decided(text, rule.because, str(rule.rule))))
    if isinstance(rule, Rule):
        return _Spoken(holds, tuple(values), None)
    level = Decided(rule.at_least, rule.because, str(rule.rule))
    return _Spoken(holds, tuple(values), (LEVELS.index(rule.at_least), level))
