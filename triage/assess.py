"""One scoring of one signal or record: every judged field, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from incidents.assessment import LEVELS, Assessment, Decided
from incidents.matrix import more_urgent
from rules.facts import Facts
from rules.policy import Policy
from triage.severity import judge_severity

_FROM_START = "where nothing else said otherwise"


def assess(facts: Facts, *, hint: str | None, policy: Policy, kept: Mapping[str, Decided] | None = None) -> Assessment:
    """Judge ``facts`` by the policy. ``kept`` are fields that a person decided: they stay as they are.

    Order: service, rules and floors, sender's hint, start values, matrix, severity, routing, owner.
    """
    judged = policy.judge(facts)
    fields: dict[str, Decided] = {**judged.fields, **(kept or {})}
    if "service" not in fields:
        fields["service"] = policy.service_of(facts)
    if "kind" not in fields:
        fields["kind"] = Decided("incident", "what is reported counts as an incident until a rule says request")
    _fill_impact_and_urgency(fields, hint=hint, policy=policy)
    _fill_priority(fields, floor=judged.floor, policy=policy)
    severity, fields["severity"] = judge_severity(
        facts, floor=judged.floor, hint=hint, priority=str(fields["priority"].value), table=policy.severity
    )
    if judged.floor is not None:
        fields["floor"] = judged.floor
    _fill_owner(fields, fill_in(facts, fields), policy)
    return Assessment(facts.at, fields, severity, policy.version)


def fill_in(facts: Facts, fields: Mapping[str, Decided]) -> Facts:
    """The facts with what was decided filled in, for the rules that come after."""

    def value(name: str, given: str | None) -> str | None:
        return fields[name].value if name in fields else given

    return replace(
        facts,
        service=value("service", facts.service),
        category=value("category", facts.category),
        kind=value("kind", facts.kind),
        impact=value("impact", facts.impact),
        urgency=value("urgency", facts.urgency),
        severity=value("severity", facts.severity),
        priority=value("priority", facts.priority),
        team=value("team", facts.team),
    )


def _fill_impact_and_urgency(fields: dict[str, Decided], *, hint: str | None, policy: Policy) -> None:
    """What no rule set comes from the sender's hint by the policy's table, else from ``start_with``."""
    impact, urgency = policy.start_with
    start = {"impact": Decided(impact, _FROM_START), "urgency": Decided(urgency, _FROM_START)}
    if hint is not None:
        line, reason = policy.severity[hint], f"the sender's hint {hint}, by the policy's table"
        start = {"impact": Decided(line.impact, reason), "urgency": Decided(line.urgency, reason)}
    for name, decided in start.items():
        fields.setdefault(name, decided)


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


def _fill_owner(fields: dict[str, Decided], facts: Facts, policy: Policy) -> None:
    """The tier that work starts at, and the one team that owns this tier of the service."""
    if "start_tier" not in fields:
        fields["start_tier"] = policy.route(facts)
    tier = int(fields["start_tier"].value or 1)
    service = fields["service"].value
    team = policy.owner(service, tier)
    fields["team"] = Decided(team.name, f"tier {tier} of {service}", fields["start_tier"].rule)
