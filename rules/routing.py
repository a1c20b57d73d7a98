"""routing.yml: whose it is first."""

from __future__ import annotations

from dataclasses import dataclass

from incidents.assessment import Decided
from rules.known import Known
from rules.language import Language
from rules.lines import FirstMatch, Line, check_lines, compile_lines
from rules.problems import NOWHERE, Where, Word
from rules.reading import setting

HIGHEST_TIER = 9  # more tiers than anyone has: a larger number is a slip of the pen


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEffects:
    """What a routing rule sets."""

    start_tier: int = setting("The tier at which work begins: a place in the service's `owners`, from 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule(Line):
    """A routing rule."""

    rule: Word = setting("The rule's name, shown wherever it acted.")
    because: str = setting("Why, in a few words; shown beside the name.")
    set: RouteEffects = setting("What it sets.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingFile:
    """Whose it is first."""

    first_match: tuple[RouteRule, ...] = setting("Rules, of which the first that fits counts.", key="first match")
    where: Where = NOWHERE


def check_routing(written: RoutingFile, known: Known) -> None:
    """The list always says something, and tiers are numbers that exist."""
    check_lines(written.first_match, known, written.where)
    for rule in written.first_match:
        if not 1 <= rule.set.start_tier <= HIGHEST_TIER:
            known.problems.add(rule.where, f"start_tier is {rule.set.start_tier}, expected 1 to {HIGHEST_TIER}")


def compile_routing(written: RoutingFile, language: Language) -> FirstMatch[Decided]:
    """The tier at which work begins, as text."""
    return compile_lines(
        written.first_match,
        lambda rule: Decided(str(rule.set.start_tier), rule.because, str(rule.rule)),
        language,
    )
