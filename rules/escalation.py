"""escalation.yml: who next, if nobody moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

from incidents.escalation import Path, Step
from rules.known import Known
from rules.language import Language
from rules.lines import FirstMatch, Line, check_lines, compile_lines
from rules.phrases import read_phrase
from rules.problems import NOWHERE, Where, Word
from rules.reading import setting

NO_PATH = "none"
MOST_REPEATS = 10  # a path that was played eleven times has told everybody: the eleventh helps no more


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """A step of a path."""

    after: timedelta = setting("Time since the path began, or began again.")
    tell: Word = setting(
        "`team` (its mail), `on_call of team`, `on_call of next tier`, `on_call of` a rotation, or a person's name "
        "in `people.yml`."
    )
    because: str = setting("Why they are told; shown in the mail.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLines:
    """A path: steps that are taken until somebody acknowledges."""

    steps: tuple[StepLine, ...] = setting("Steps; one that reaches nobody goes on to the next at once.")
    repeat: int = setting("How often the steps are taken again, when still nobody moves.", default=0)
    stops_when: Literal["acknowledged"] = setting("What ends it.", default="acknowledged")
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class UseLine(Line):
    """Which path is played."""

    LATER: ClassVar = {"time": "working hours"}

    path: Word = setting(f"A path's name, or `{NO_PATH}`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimits:
    """What keeps pages readable."""

    most_per_hour: int = setting(
        "Pages to one person in an hour; those beyond come together in one notice. Ten can still be read.", default=10
    )
    notice_after: timedelta = setting(
        "How long pages beyond that are gathered before the notice is sent.", default=timedelta(seconds=30)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationFile:
    """Who next, if nobody moves."""

    paths: Mapping[Word, PathLines] = setting("Paths by name.")
    use: tuple[UseLine, ...] = setting("Lines, of which the first that fits names the path.")
    pages: PageLimits = setting("What keeps pages readable.", factory=PageLimits)
    where: Where = NOWHERE


def check_escalation(written: EscalationFile, known: Known) -> None:
    """The paths are complete, tell somebody who exists, and the list always names one."""
    for lines in written.paths.values():
        _check_path(lines, known)
    known.check("path", [line.path for line in written.use if line.path != NO_PATH])
    check_lines(written.use, known, written.where)
    if written.pages.most_per_hour < 1:
        known.problems.add(written.where, "pages.most_per_hour is below 1, expected at least 1")


def make_paths(written: EscalationFile) -> Mapping[str, Path]:
    """The paths."""
    return {
        str(name): Path(
            str(name), tuple(Step(step.after, str(step.tell), step.because) for step in lines.steps), lines.repeat
        )
        for name, lines in written.paths.items()
    }


def compile_use(written: EscalationFile, language: Language) -> FirstMatch[str | None]:
    """The name of the path that a record is given."""
    return compile_lines(written.use, lambda line: None if line.path == NO_PATH else str(line.path), language)


def _check_path(lines: PathLines, known: Known) -> None:
    problems = known.problems
    if not lines.steps:
        problems.add(lines.where, "this path has no steps, expected at least one")
    if not 0 <= lines.repeat <= MOST_REPEATS:
        problems.add(lines.where, f"repeat is {lines.repeat}, expected 0 to {MOST_REPEATS}")
    for earlier, later in zip(lines.steps, lines.steps[1:], strict=False):
        if later.after < earlier.after:
            problems.add(later.tell.where, "this step comes before the one above it, expected steps in order of after")
    for step in lines.steps:
        phrase = read_phrase(step.tell)
        if phrase.who in {"rotation", "person"}:
            known.check(phrase.who, [Word(phrase.name, step.tell.where)])
