"""Override: a person's change of a judged field, with justification, kept beside what the rules said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from desk.change import Advance, Change, TargetMove, said_by
from desk.errors import Invalid, Missing
from desk.moving import check_role
from desk.restore import LEAST_JUSTIFICATION
from incidents.assessment import DEGREES, LEVELS, PRIORITIES, Assessment, Decided, Severity
from incidents.incident import Incident
from incidents.person import Author
from incidents.targets import Target, TargetState, next_look
from incidents.timeline import EntryKind, Values
from rules.policy import Policy, Promise
from rules.problems import expected

_ORDERED = {"priority": PRIORITIES, "severity": LEVELS, "impact": DEGREES, "urgency": DEGREES}
FIELDS = (*_ORDERED, "service", "category", "title")


def override(
    incident: Incident, *, by: Author, at: datetime, policy: Policy, field: str, value: str, justification: str,
    before: Mapping[str, Decided],
) -> Change:  # fmt: skip
    """Set one field. ``before`` is the newest assessment's fields; the rules' opinion is kept beside the person's.

    Impact and urgency give a new priority by the matrix. The owner stays: `assign` moves it.
    """
    check_role(incident, "set", by=by, policy=policy)
    _check_value(field, value, policy)
    _check_justification(field, justification)
    decided = {**before, field: Decided(value, justification.strip(), f"override:{by.name}")}
    new: dict[str, Any] = {field: value}
    changed = replace(incident, **new)
    if field in ("impact", "urgency", "service"):
        by_matrix = policy.priority(changed.service, changed.impact, changed.urgency)
        changed = replace(changed, priority=str(by_matrix.value))
        decided["priority"] = by_matrix
    values: Values = {
        "field": field,
        "before": getattr(incident, field),
        "after": value,
        "priority": {"before": incident.priority, "after": changed.priority},
        "justification": justification.strip(),
        "rules_said": before[field].value if field in before else None,
        "policy_version": policy.version,
    }
    severity = Severity(changed.severity)
    assessment = None if field == "title" else Assessment(at, decided, severity, policy.version)
    entry = said_by(by, EntryKind.CHANGED, values, at=at)
    return Change(changed, at, entries=[entry], assessment=assessment)


def replan(targets: list[Target], promises: list[Promise], policy: Policy) -> list[TargetMove]:
    """The moves that give running promises the lengths of a new priority; those that it does not make stay."""
    lengths = {f"sla.{promise.name}": promise for promise in promises}
    moves: list[TargetMove] = []
    for target in targets:
        promise = lengths.get(target.name)
        if promise is None or promise.length == target.length:
            continue
        moved = target._replace(length=promise.length, due_at=target.due_at + promise.length - target.length, warned=0)
        if target.state == TargetState.RUNNING:
            moved = moved._replace(next_at=next_look(moved, policy.warn_at))
        moves.append(Advance(moved))
    return moves


def _check_value(field: str, value: str, policy: Policy) -> None:
    known: Mapping[str, Collection[str]] = {**_ORDERED, "service": policy.services, "category": policy.categories}
    if field not in FIELDS:
        raise Invalid(f"{field!r} can't be set; one of {', '.join(FIELDS)} can")
    if not value:
        raise Invalid(f"A {field} can't be empty; say what it is")
    if field in known and value not in known[field]:
        raise Invalid(f"{value[:80]!r} is no {field}: {expected(value, known[field])}")


def _check_justification(field: str, justification: str) -> None:
    if field in _ORDERED and len(justification.strip()) < LEAST_JUSTIFICATION:
        raise Missing(f"Say why {field} changes, in at least {LEAST_JUSTIFICATION} characters")
