"""Gaps that a policy has although every word of it is right: nobody would be told, or a table is never read."""

from __future__ import annotations

from incidents.escalation import Path
from rules.make import Written
from rules.phrases import read_phrase
from rules.policy import Policy
from rules.problems import Problems


def warn_of_gaps(policy: Policy, written: Written, problems: Problems) -> None:
    """Warn of every tier at which a path reaches nobody, and of matrices that serve no business unit."""
    for name in written.services.services:
        for tier in range(1, len(policy.services[name].owners) + 1):
            for path in policy.paths.values():
                if not any(_reaches(policy, step.tell, str(name), tier) for step in path.steps):
                    problems.warn(name.where, _gap(policy, path, str(name), tier))
    units = {service.business_unit for service in policy.services.values()}
    used = units | {lines.extends for lines in written.priority.matrices.values()} | {"default"}
    for matrix in written.priority.matrices:
        if matrix not in used:
            problems.warn(matrix.where, f"no service has the business unit {matrix!r}, so this matrix is never read")


def _gap(policy: Policy, path: Path, service: str, tier: int) -> str:
    team = policy.owner(service, tier).name
    return f"the path {path.name} reaches nobody at tier {tier}: give {team} a mail or a rotation, or the path a step"


def _reaches(policy: Policy, phrase: str, service: str, tier: int) -> bool:
    """Whether the phrase names somebody at any time: rotations are never empty."""
    said = read_phrase(phrase)
    if said.who in {"rotation", "person"}:
        return True
    tier += said.who == "next tier"
    if tier > len(policy.services[service].owners):
        return False
    team = policy.owner(service, tier)
    return (team.on_call if said.on_call else team.mail) is not None
