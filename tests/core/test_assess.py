"""One judgement: what rules, floors, hints and whoever opened it say together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from incidents.assessment import Decided
from rules.facts import Facts
from rules.policy import Judged, Policy
from triage.assess import Assessed, assess

FACTS = Facts("submission", "ana", datetime(2026, 11, 23, 12, tzinfo=UTC), "Something is odd")


def judged(
    policy: Policy, *, degree: str, floor: str | None, hint: str | None = None, facts: Facts = FACTS
) -> Assessed:
    """As if the rules had said impact and urgency, and perhaps a floor."""
    said = {name: Decided(degree, "a rule") for name in ("impact", "urgency")}
    said["kind"] = said["category"] = Decided("incident", "a rule")
    answer = Judged(said, None if floor is None else Decided(floor, "a floor", "f"))
    asked = replace(policy, questions=replace(policy.questions, judge=lambda _asked: answer))
    return assess(facts, hint=hint, policy=asked)


@pytest.mark.parametrize(
    ("degree", "floor", "priority"),
    [("high", None, "P1"), ("high", "sev3", "P1"), ("low", "sev1", "P1"), ("low", "sev4", "P4"), ("low", None, "P5")],
)
def test_a_floor_raises_the_priority_and_never_lowers_it(
    policy: Policy, degree: str, floor: str | None, priority: str
) -> None:
    """The more urgent of the matrix and what the policy's table gives for the floor."""
    assert judged(policy, degree=degree, floor=floor).assessment.value("priority") == priority


@pytest.mark.parametrize(
    ("floor", "hint", "level"), [("sev2", "sev1", "sev1"), ("sev2", "sev3", "sev2"), ("sev2", None, "sev2")]
)
def test_the_stronger_of_floor_and_hint_is_the_severity(
    policy: Policy, floor: str, hint: str | None, level: str
) -> None:
    assert judged(policy, degree="low", floor=floor, hint=hint).assessment.severity.level == level


def test_who_opens_it_has_the_last_word_on_what_it_is(policy: Policy) -> None:
    """Kind and category as given, whatever the rules make of the words; the reason says so."""
    facts = FACTS._replace(kind="service_request", category="access")
    assessment, filled = judged(policy, degree="low", floor=None, facts=facts)
    assert (assessment.value("kind"), assessment.value("category")) == ("service_request", "access")
    assert (filled.kind, filled.category) == ("service_request", "access")
    assert "opened" in assessment.fields["kind"].reason
