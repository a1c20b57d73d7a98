"""Trees become documented dataclasses; every problem is told at once, with what was expected."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import pytest

from rules.nodes import read_nodes
from rules.problems import NOWHERE, Problems, Where, Word
from rules.reading import BAD, address, read_value, setting, zone
from rules.reference import describe, undocumented


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel."""

    size: int = setting("Inches.")
    tyre: Literal["thin", "thick"] = setting("What is on it.", default="thin")
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Bicycle:
    """A bicycle."""

    LATER: ClassVar = {"motor": "riding without pedals"}

    owner: Word = setting("Whose it is.")
    wheels: tuple[Wheel, ...] = setting("Wheels.", default=())
    parts: Mapping[Word, int] = setting("Parts by name.", factory=dict)
    bell: bool = setting("Whether it rings.", default=False)
    lent_for: timedelta | None = setting("How long.", default=None, key="lent for")
    mail: Annotated[str, address] | None = setting("Where the owner is.", default=None)
    zone: Annotated[ZoneInfo, zone] = setting("Where it rides.", default=ZoneInfo("UTC"))
    note: str | Wheel = setting("Anything.", default="")


def read(text: str, wanted: Any = Bicycle) -> tuple[Any, list[str]]:
    problems = Problems()
    node = read_nodes("a.yml", text, problems)
    assert node is not None
    return read_value(wanted, node, problems), [str(problem) for problem in problems.errors]


def test_a_table_becomes_a_dataclass() -> None:
    made, problems = read(
        "owner: ann\nwheels: [{size: 28}, {size: 26, tyre: thick}]\nparts: {bell: 1}\nbell: true\n"
        "lent for: 2d\nmail: Ann@Example.com\nzone: Europe/Berlin\nnote: {size: 1}\n"
    )
    assert problems == []
    assert made == Bicycle(
        owner=made.owner, wheels=made.wheels, parts=made.parts, bell=True, lent_for=timedelta(days=2),
        mail="ann@example.com", zone=ZoneInfo("Europe/Berlin"), note=made.note,
    )  # fmt: skip
    assert [(wheel.size, wheel.tyre, wheel.where.line) for wheel in made.wheels] == [(28, "thin", 2), (26, "thick", 2)]
    assert (made.owner, made.owner.where.line, made.note.size, made.parts) == ("ann", 1, 1, {"bell": 1})


def test_one_item_may_stand_without_the_list() -> None:
    made, _ = read("owner: ann\nwheels: {size: 28}\n")
    assert [wheel.size for wheel in made.wheels] == [28]


def test_nothing_written_is_nothing_where_that_is_allowed() -> None:
    made, problems = read("owner: ann\nwheels:\nparts: ~\nlent for: null\n")
    assert (made.wheels, made.parts, made.lent_for, problems) == ((), {}, None, [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("weels: []", "weels: 'weels' is no key here, did you mean wheels? Known: bell, lent for, mail"),
        ("motor: 1", "motor: 'motor' (riding without pedals) is not in this version, expected only: owner"),
        ("wheels: [{size: big}]", "wheels[0].size: 'big' is no whole number, expected digits such as 5"),
        ("wheels: [{tyre: thin}]", "wheels[0]: 'size' is missing, expected it beside tyre"),
        ("wheels: [{size: 28, tyre: fat}]", "wheels[0].tyre: here stands 'fat', expected one of thin, thick"),
        ("wheels: round", "wheels: here stands a single value, expected a table of keys: size, tyre"),
        ("bell: yes", "bell: here stands 'yes', expected true or false"),
        ("bell: [true]", "bell: here stands a list, expected true or false"),
        ("lent for: 2 weeks", "lent for: '2 weeks' is no duration: write a whole number and s, m, h or d, such as 15m"),
        ("mail: nowhere", "mail: 'nowhere' is no mail address, expected one such as desk@example.com"),
        ("zone: Mars/Olympus", "zone: 'Mars/Olympus' is no time zone, expected one such as Europe/Berlin"),
        ("zone: ../../etc/passwd", "zone: '../../etc/passwd' is no time zone"),
        ("parts: 3", "parts: here stands a single value, expected a table of names"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_what_was_expected(line: str, said: str) -> None:
    """Fault 83."""
    _, problems = read(f"owner: ann\n{line}\n")
    (problem,) = problems
    assert problem.startswith(f"a.yml:2: {said}")


def test_all_problems_are_told_at_once() -> None:
    """Fault 83."""
    made, problems = read("bel: true\nwheels:\n  - {size: x}\n  - {siz: 3}\n")
    assert made is BAD
    assert [int(problem.split(":")[1]) for problem in problems] == [1, 3, 4, 4, 1]


def test_a_name_whose_definition_is_wrong_counts_as_known() -> None:
    problems = Problems()
    node = read_nodes("a.yml", "big: {size: 1}\nodd: {size: x}\n", problems)
    assert node is not None
    made = read_value(Mapping[Word, Wheel], node, problems)
    assert (list(made), problems.lost) == (["big"], {"odd"})


def test_a_word_keeps_its_place_on_the_way_to_another_process() -> None:
    word = pickle.loads(pickle.dumps(Word("ann", Where("a.yml", 3, "owner"))))
    assert (word, word.where.line) == ("ann", 3)


def test_the_reference_tells_every_key_with_its_default() -> None:
    page = describe({"a.yml": Bicycle})
    assert "| `lent for` | duration |  | How long. |" in page
    assert "| `tyre` | one of `thin`, `thick` | `thin` | What is on it. |" in page
    assert undocumented(Bicycle) == []
