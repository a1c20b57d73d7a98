"""priority.yml: how bad it is, and what comes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from incidents.assessment import DEGREES, LEVELS, Degree, Level, Priority
from incidents.matrix import Matrix
from rules.conditions import Conditions, Kind
from rules.known import Known
from rules.policy import HintLine
from rules.problems import NOWHERE, Problems, Where, Word, expected
from rules.reading import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixLines:
    """A table of priorities: a column for each urgency, a row for each impact."""

    extends: Word | None = setting("A matrix whose rows count where this one has none.", default=None)
    urgency: tuple[Degree, ...] = setting("The order of the columns.", default=("high", "medium", "low"))
    high: tuple[Priority, ...] = setting("Priorities where the impact is high.", default=(), key="impact high")
    medium: tuple[Priority, ...] = setting("Priorities where the impact is medium.", default=(), key="impact medium")
    low: tuple[Priority, ...] = setting("Priorities where the impact is low.", default=(), key="impact low")
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where judgement begins."""

    impact: Degree = setting("Impact where nothing else says otherwise.")
    urgency: Degree = setting("Urgency where nothing else says otherwise.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLine:
    """What a level of severity means."""

    impact: Degree = setting("The impact that a sender's hint of this level stands for.")
    urgency: Degree = setting("The urgency that a sender's hint of this level stands for.")
    priority: Priority = setting("The least urgent priority that a floor of this level allows.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelLines:
    """What the levels of severity mean: of a floor, of a sender's hint, and read backwards where there is no model."""

    sev1: LevelLine = setting("The worst.")
    sev2: LevelLine = setting("Bad.")
    sev3: LevelLine = setting("Ordinary.")
    sev4: LevelLine = setting("Slight.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a rule sets."""

    impact: Degree | None = setting("Impact: the strongest word of all rules counts.", default=None)
    urgency: Degree | None = setting("Urgency: the strongest word of all rules counts.", default=None)
    kind: Kind | None = setting("Kind: the first rule counts.", default=None)
    category: Word | None = setting("Category: the first rule counts.", default=None)
    service: Word | None = setting("Service: the first rule counts.", default=None)
    confidential: bool | None = setting("Whether only those concerned may read it.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Conditions):
    """A rule that speaks whenever its matchers hold."""

    rule: Word = setting("The rule's name, shown wherever it acted.")
    because: str = setting("Why, in a few words; shown beside the name.")
    set: Effects = setting("What it sets.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor(Conditions):
    """A rule below whose level nothing may fall, whatever else is said."""

    rule: Word = setting("The floor's name, shown wherever it acted.")
    because: str = setting("Why, in a few words; shown beside the name.")
    at_least: Level = setting("The least severity; the priority is at least what `severity` gives for it.")
    set: Effects = setting("What it sets beside; it goes before what rules set.", factory=Effects)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityFile:
    """How bad, and what comes first."""

    matrices: Mapping[Word, MatrixLines] = setting(
        "Priority by impact and urgency; `default`, and one by business unit."
    )
    start_with: Start = setting("Impact and urgency where no rule, floor, hint or person said otherwise.")
    severity: LevelLines = setting("What each level of severity means.")
    all: tuple[Rule, ...] = setting("Rules, of which all that match speak.", default=())
    floors: tuple[Floor, ...] = setting("Rules that say how severe it is at least.", default=())
    where: Where = NOWHERE


def make_matrices(written: PriorityFile, problems: Problems) -> Mapping[str, Matrix]:
    """The matrices, those that they extend followed; rows that are wrong or missing are told."""
    return {str(name): Matrix(str(name), _cells(name, written, problems)) for name in written.matrices}


def make_severity(written: LevelLines) -> Mapping[str, HintLine]:
    """The table of levels."""
    lines = [getattr(written, level) for level in LEVELS]
    return {
        level: HintLine(line.impact, line.urgency, line.priority) for level, line in zip(LEVELS, lines, strict=True)
    }


def check_priority(written: PriorityFile, known: Known) -> None:
    """The matrices are complete; rules have a name of their own, mention names, and set something."""
    problems = known.problems
    make_matrices(written, problems)
    if "default" not in written.matrices and "default" not in problems.lost:
        problems.add(written.where, "no matrix is called 'default', expected it: it serves every other business unit")
    seen: dict[str, Word] = {}
    rules: list[Rule | Floor] = [*written.all, *written.floors]
    for rule in rules:
        known.check_conditions(rule)
        known.check("category", [rule.set.category])
        known.check("service", [rule.set.service])
        if rule.rule in seen:
            problems.add(
                rule.rule.where,
                f"line {seen[rule.rule].where.line} has a rule called {rule.rule!r} too, expected two names",
            )
        seen.setdefault(rule.rule, rule.rule)
        if isinstance(rule, Rule) and rule.set == Effects():
            problems.add(rule.rule.where, "this rule sets nothing, expected at least one field under set")


def _cells(name: Word, written: PriorityFile, problems: Problems) -> Mapping[str, Mapping[str, str]]:
    """The cells of a matrix, those that it takes over from others included."""
    before = len(problems.errors)
    chain = _chain(name, written, problems)
    cells: dict[str, Mapping[str, str]] = {}
    for lines in reversed(chain):
        if sorted(lines.urgency) != sorted(DEGREES):
            problems.add(lines.where, "the columns of urgency are not high, medium and low, expected each of them once")
            continue
        for impact in DEGREES:
            row = getattr(lines, impact)
            if row and len(row) != len(DEGREES):
                problems.add(lines.where, f"the row 'impact {impact}' has {len(row)} priorities, expected 3")
            elif row:
                cells[impact] = dict(zip(lines.urgency, row, strict=True))
    missing = [f"impact {impact}" for impact in DEGREES if impact not in cells]
    if missing and len(problems.errors) == before:
        problems.add(chain[0].where, f"rows are missing: {', '.join(missing)}; expected them, or a matrix to extend")
    return cells


def _chain(name: Word, written: PriorityFile, problems: Problems) -> list[MatrixLines]:
    """A matrix and those it extends, nearest first."""
    chain = [written.matrices[name]]
    seen = {str(name)}
    while (parent := chain[-1].extends) is not None:
        if parent not in written.matrices:
            problems.add(parent.where, f"there is no matrix {parent!r}, {expected(parent, written.matrices)}")
            break
        if parent in seen:
            problems.add(parent.where, f"the matrix {name!r} extends itself, expected a chain that ends")
            break
        seen.add(str(parent))
        chain.append(written.matrices[parent])
    return chain
