"""First match: lists of which the first line that fits speaks, so every list ends with a line that always fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rules.asked import Asked
from rules.conditions import Conditions, Holds, always, compile_conditions, covers
from rules.known import Known
from rules.language import Language
from rules.problems import NOWHERE, Problems, Where
from rules.reading import setting

_Line = TypeVar("_Line", bound="Line")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line(Conditions):
    """A line of a list of which the first that fits counts."""

    otherwise: bool = setting("Says that the line fits whatever no line above did.", default=False)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True)
class FirstMatch(Generic[_Value]):
    """The lines, compiled: what the first one that fits says."""

    lines: Sequence[tuple[Holds, _Value]]
    rest: _Value

    def __call__(self, asked: Asked) -> _Value:
        """The value of the first line that fits."""
        for holds, value in self.lines:
            if holds(asked):
                return value
        return self.rest


def check_lines(lines: Sequence[Line], known: Known, list_at: Where) -> None:
    """The words of the lines are names, the last one fits always, and none stands where it is never reached."""
    problems = known.problems
    for line in lines:
        known.check_conditions(line)
        if line.otherwise and not always(line):
            problems.add(line.where, "this line says otherwise and matchers, expected one or the other")
    if not lines or not always(lines[-1]):
        place = lines[-1].where if lines else list_at
        problems.add(place, "the list does not end with a line that always fits, expected otherwise: true at its end")
    _warn_unreachable(lines, problems)


def compile_lines(lines: Sequence[_Line], value: Callable[[_Line], _Value], language: Language) -> FirstMatch[_Value]:
    """The list as one function; its last line fits always."""
    compiled = [(compile_conditions(line, language), value(line)) for line in lines]
    return FirstMatch(tuple(compiled[:-1]), compiled[-1][1])


def _warn_unreachable(lines: Sequence[_Line], problems: Problems) -> None:
    for place, line in enumerate(lines):
        for earlier in lines[:place]:
            if covers(earlier, line):
                problems.warn(
                    line.where, f"this line is never reached: line {earlier.where.line} fits all that it would fit"
                )
                break
