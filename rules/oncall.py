"""oncall.yml: who answers when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Annotated, ClassVar, Literal, NamedTuple
from zoneinfo import ZoneInfo

from incidents.oncall import Rotation
from rules.conditions import Words
from rules.known import Known
from rules.language import WEEKDAYS
from rules.problems import NOWHERE, Where, Word
from rules.reading import setting, zone

_HAND_OVER = re.compile(r"(?:([a-z]{3}) +)?([01][0-9]|2[0-3]):([0-5][0-9])")
_DAYS = {"daily": 1, "weekly": 7}


class HandOver(NamedTuple):
    """When a turn ends: a weekday (Monday is 0) and a local time."""

    weekday: int
    at: time


def hand_over(word: Word) -> HandOver:
    """A weekday and a time such as mon 09:00."""
    match = _HAND_OVER.fullmatch(word.lower())
    if match is None or (match[1] or "mon") not in WEEKDAYS:
        raise ValueError(f"{word[:80]!r} is no weekday and time, expected one such as mon 09:00")
    return HandOver(WEEKDAYS.index(match[1] or "mon"), time(int(match[2]), int(match[3])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """People who take turns."""

    people: Words = setting("Names of `people.yml`, in the order of their turns.")
    turn: Literal["daily", "weekly"] = setting("How long one is on call; a week disturbs the fewest.", default="weekly")
    hand_over: Annotated[HandOver, hand_over] = setting(
        "Weekday and local time at which the next one begins; in office hours both are awake.",
        default=HandOver(0, time(9)),
    )
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationLines:
    """A rotation."""

    LATER: ClassVar = {"calendar_file": "rotations from calendars"}

    layers: tuple[Layer, ...] = setting("One layer of people; several layers come with a later version.")
    zone: Annotated[ZoneInfo, zone] | None = setting("Whose clock hands over; the desk's when left out.", default=None)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class OncallFile:
    """Who answers when."""

    rotations: Mapping[Word, RotationLines] = setting("Rotations by name; `lead` and `manager` are like any other.")
    where: Where = NOWHERE


def check_oncall(written: OncallFile, known: Known) -> None:
    """No rotation is empty, and its people are there."""
    for lines in written.rotations.values():
        if len(lines.layers) != 1:
            known.problems.add(lines.where, f"this rotation has {len(lines.layers)} layers, expected one")
        for layer in lines.layers:
            known.check("person", layer.people)
            if not layer.people:
                known.problems.add(layer.where, "nobody is in this rotation, expected at least one person")


def make_rotations(written: OncallFile, desk_zone: ZoneInfo) -> Mapping[str, Rotation]:
    """The rotations."""
    return {str(name): _rotation(str(name), lines, desk_zone) for name, lines in written.rotations.items()}


def _rotation(name: str, lines: RotationLines, desk_zone: ZoneInfo) -> Rotation:
    layer = lines.layers[0]
    weekday, at = layer.hand_over
    people = tuple(map(str, layer.people))
    return Rotation(name, people, _DAYS[layer.turn], weekday, at, lines.zone or desk_zone)
