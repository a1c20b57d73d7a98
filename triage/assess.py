"""One scoring of one signal or record: every judged field, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from incidents.assessment import LEVELS, Assessment, Decided
from incidents.matrix import more_urgent
from rules.facts import Facts
from rules.policy import Judged, Policy
from triage.severity import judge_severity

_GIVEN = "who opened it said so"
_FROM_START = "where nothing else said otherwise"
_FAILED = "the rules failed on this, so a person has to look"


class Assessed(NamedTuple):
    """An assessment, and the facts with what it decided filled in, for the rules that come after."""

    assessment: Assessment
    facts: Facts


def assess(facts: Facts, *, hint: str | None, policy: Policy) -> Assessed:
    """Judge ``facts`` by the policy. Where judging fails, what the start values say, at the catch-all (G12).

    Order: service, rules and floors, what was given at opening, sender's hint, start values, matrix, severity, routing,
    owner.
    """
    try:
        judged = policy.judge(facts)
        failed = False
    except Exception:  # noqa: BLE001 - a fault of the rules must not cost a record
        failed = True
        judged = Judged({"service": Decided(policy.catch_all, _FAILED), "start_tier": Decided("1", _FAILED)}, None)
    fields: dict[str, Decided] = dict(judged.fields)
    if "service" not in fields:
        fields["service"] = policy.service_of(facts)
    for name, given in (("kind", facts.kind), ("category", facts.category)):
        if given is not None:
            fields[name] = Decided(given, _GIVEN)
    if "kind" not in fields:
        fields["kind"] = Decided("incident", "what is reported counts as an incident until a rule says request")
    _fill_impact_and_urgency(fields, hint=hint, policy=policy)
    _fill_priority(fields, floor=judged.floor, policy=policy)
    severity, fields["severity"] = judge_severity(
        floor=judged.floor, hint=hint, priority=str(fields["priority"].value), table=policy.severity
    )
    if failed:
        severity = replace(severity, needs_person=True)
    if judged.floor is not None:
        fields["floor"] = judged.floor
    filled = _filled(facts, fields)
    team = _fill_tier(fields, filled, policy)
    return Assessed(Assessment(facts.at, fields, severity, policy.version), filled._replace(team=team))


def _filled(facts: Facts, fields: Mapping[str, Decided]) -> Facts:
    """The facts with what was decided; a category may be missing, the rest is always there."""
    category = fields.get("category")
    return Facts(
        facts.origin, facts.source, facts.at, facts.title, facts.text, facts.subject, facts.sender, facts.recipient,
        facts.labels, facts.resource, fields["service"].value, None if category is None else category.value,
        fields["kind"].value, fields["impact"].value, fields["urgency"].value, fields["severity"].value,
        fields["priority"].value, None, facts.state,
    )  # fmt: skip


def _fill_impact_and_urgency(fields: dict[str, Decided], *, hint: str | None, policy: Policy) -> None:
    """What no rule set comes from the sender's hint by the policy's table, else from ``start_with``."""
    (impact, urgency), reason = policy.start_with, _FROM_START
    if hint is not None:
        (impact, urgency, _), reason = policy.severity[hint], f"the sender's hint {hint}, by the policy's table"
    if "impact" not in fields:
        fields["impact"] = Decided(impact, reason)
    if "urgency" not in fields:
        fields["urgency"] = Decided(urgency, reason)


def _fill_priority(fields: dict[str, Decided], *, floor: Decided | None, policy: Policy) -> None:
    """The more urgent of the matrix and the table's word for the floor."""
    if "priority" in fields:
        return
    by_matrix = policy.priority(fields["service"].value, str(fields["impact"].value), str(fields["urgency"].value))
    fields["priority"] = by_matrix
    if floor is not None and floor.value in LEVELS:
        least = policy.severity[floor.value].priority
        if more_urgent(least, str(by_matrix.value)) != by_matrix.value:
            fields["priority"] = Decided(least, f"never below the floor {floor.value}: {floor.reason}", floor.rule)


def _fill_tier(fields: dict[str, Decided], facts: Facts, policy: Policy) -> str:
    """The tier that work starts at, and the one team that owns this tier of the service: its name."""
    if "start_tier" not in fields:
        try:
            fields["start_tier"] = policy.route(facts)
        except Exception:  # noqa: BLE001 - as above
            fields["start_tier"] = Decided("1", _FAILED)
    tier = int(fields["start_tier"].value or 1)
    service = fields["service"].value
    team = policy.owner(service, tier)
    fields["team"] = Decided(team.name, f"tier {tier} of {service}", fields["start_tier"].rule)
    return team.name
