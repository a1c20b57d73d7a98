"""sla.yml: by when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from rules.known import Known
from rules.language import Language
from rules.lines import FirstMatch, Line, check_lines, compile_lines
from rules.policy import Promise
from rules.problems import NOWHERE, Where, Word
from rules.reading import setting

PROMISED = ("respond", "restore", "resolve")
Waiting = Literal["waiting_customer", "waiting_vendor"]


def share(word: Word) -> float:
    """A share of the time such as 80%."""
    digits = word.removesuffix("%")
    if not word.endswith("%") or not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 100:  # noqa: PLR2004 - percent
        raise ValueError(f"{word[:80]!r} is no share of the time, expected one such as 80%")
    return int(digits) / 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLine(Line):
    """What is promised to what it fits."""

    LATER: ClassVar = {"next_update": "the cadence of updates"}

    calendar: Literal["always"] = setting(
        "`always`: time runs day and night. It is the only calendar in this version.", default="always"
    )
    respond: timedelta | None = setting("Until somebody takes it up.", default=None)
    restore: timedelta | None = setting("Until it works again.", default=None)
    resolve: timedelta | None = setting("Until it is resolved.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaFile:
    """By when."""

    LATER: ClassVar = {"calendars": "working hours; until then every promise counts day and night"}

    first_match: tuple[TargetLine, ...] = setting("Lines, of which the first that fits counts.", key="first match")
    clock_stops_in: tuple[Waiting, ...] = setting(
        "States in which the clock stands still: nobody here can do anything.", default=()
    )
    warn_at: tuple[Annotated[float, share], ...] = setting(
        "Shares of the time at which the team is warned; at 80% there is still time to act.", default=(0.8,)
    )
    where: Where = NOWHERE


def check_sla(written: SlaFile, known: Known) -> None:
    """The list always says something."""
    check_lines(written.first_match, known, written.where)


def compile_promises(written: SlaFile, language: Language) -> FirstMatch[tuple[Promise, ...]]:
    """The targets that a record gets."""
    return compile_lines(written.first_match, _promises, language)


def _promises(line: TargetLine) -> tuple[Promise, ...]:
    lengths = [(name, getattr(line, name)) for name in PROMISED]
    return tuple(Promise(name, length, line.calendar) for name, length in lengths if length is not None)
