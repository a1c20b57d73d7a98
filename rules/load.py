"""Makes a policy of the files that an organisation wrote, or tells everything that is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from rules.categories import CategoryLine, make_categories
from rules.escalation import EscalationFile, PageLimits, compile_use, make_paths
from rules.gaps import warn_of_gaps
from rules.judge import compile_judge
from rules.known import ROLES, Known
from rules.language import Language
from rules.lifecycle import STATES, ComingBack, LifecycleFile, make_lifecycles
from rules.mailboxes import AutomaticMail, MailboxesFile, make_mailboxes
from rules.nodes import read_nodes
from rules.oncall import OncallFile, make_rotations
from rules.people import PersonLine, make_agents
from rules.permissions import PermissionLine, make_permissions
from rules.policy import Limits, Policy, Questions
from rules.priority import PriorityFile, check_rules, make_matrices, make_severity
from rules.problems import Problem, Problems, Where, Word, expected
from rules.reading import BAD, read_value
from rules.routing import RoutingFile, compile_routing
from rules.services import CATCH_ALL, ServicesFile, compile_finder, make_services, make_teams
from rules.sla import SlaFile, compile_promises

#: Every file of a policy, and what it must hold.
FILES: Mapping[str, Any] = {
    "services.yml": ServicesFile,
    "people.yml": Mapping[Word, PersonLine],
    "priority.yml": PriorityFile,
    "routing.yml": RoutingFile,
    "sla.yml": SlaFile,
    "escalation.yml": EscalationFile,
    "oncall.yml": OncallFile,
    "lifecycle.yml": LifecycleFile,
    "categories.yml": Mapping[Word, CategoryLine],
    "permissions.yml": Mapping[Word, PermissionLine],
    "mailboxes.yml": MailboxesFile,
}
#: Files of the contract that a later version reads.
LATER_FILES = ("fields.yml", "heartbeats.yml", "audiences.yml")


class PolicyFile(NamedTuple):
    """A file as it was found: where it stands, for people, and its text."""

    path: str
    text: str


class Loaded(NamedTuple):
    """What became of some files: a policy when there are no problems; warnings beside."""

    policy: Policy | None
    problems: Sequence[Problem]
    warnings: Sequence[Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """The files, read; each None where it could not be."""

    services: ServicesFile | None
    people: Mapping[Word, PersonLine] | None
    priority: PriorityFile | None
    routing: RoutingFile | None
    sla: SlaFile | None
    escalation: EscalationFile | None
    oncall: OncallFile | None
    lifecycle: LifecycleFile | None
    categories: Mapping[Word, CategoryLine] | None
    permissions: Mapping[Word, PermissionLine] | None
    mailboxes: MailboxesFile | None


def load_policy(files: Mapping[str, PolicyFile], *, framework: str, zone: ZoneInfo) -> Loaded:
    """The policy that ``files`` (by name, pack and organisation together) say; ``zone`` is the desk's."""
    problems = Problems()
    for name, file in files.items():
        if name not in FILES:
            problems.add(Where(file.path, 1), _no_file(name))
    read = _Files(**{name.removesuffix(".yml"): _read(name, files, problems) for name in FILES})
    policy = _put_together(read, Known(_names(read), problems), framework, zone, version_of(files))
    errors = sorted(problems.errors, key=lambda problem: (problem.where.file, problem.where.line))
    return Loaded(None if errors else policy, errors, problems.warnings)


def version_of(files: Mapping[str, PolicyFile]) -> str:
    """The first 12 hexadecimal digits of the SHA-256 over all files, by name."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name, files[name].text):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:12]


def _no_file(name: str) -> str:
    if name in LATER_FILES:
        return f"{name} is not read by this version, expected only: {', '.join(FILES)}"
    return f"{name} is no file of a policy, {expected(name, FILES)}"


def _read(name: str, files: Mapping[str, PolicyFile], problems: Problems) -> Any:
    if name not in files:
        problems.add(Where(name, 1), "this file is missing, expected it in the policy's folder or in its pack")
        return None
    path, text = files[name]
    before = len(problems.errors)
    node = read_nodes(path, text, problems)
    if node is None:
        if len(problems.errors) == before:
            problems.add(Where(path, 1), "this file is empty, expected what docs/reference/policy.md describes")
        return None
    value = read_value(FILES[name], node, problems)
    return None if value is BAD else value


def _names(read: _Files) -> dict[str, Any]:
    """The names that the files define; None where the file could not be read."""
    return {
        "team": read.services and read.services.teams,
        "service": read.services and read.services.services,
        "category": read.categories,
        "rotation": read.oncall and read.oncall.rotations,
        "person": read.people,
        "path": read.escalation and read.escalation.paths,
        "state": STATES,
        "role": ROLES,
    }


def _put_together(read: _Files, known: Known, framework: str, zone: ZoneInfo, version: str) -> Policy | None:
    """Every part that can be made is made, so that every problem is found; a policy where there is none."""
    problems, language = known.problems, Language(zone)
    services, priority, mail, coming = read.services, read.priority, read.mailboxes, read.lifecycle
    finder = compile_finder(services) if services else None
    parts: dict[str, Any] = {
        "teams": make_teams(services, known) if services else None,
        "services": make_services(services, known, problems) if services else None,
        "categories": None if read.categories is None else make_categories(read.categories, known),
        "agents": None if read.people is None else make_agents(read.people, known),
        "mailboxes": make_mailboxes(mail, problems) if mail else None,
        "rotations": make_rotations(read.oncall, known, zone) if read.oncall else None,
        "paths": make_paths(read.escalation, known) if read.escalation else None,
        "matrices": make_matrices(priority, problems) if priority else None,
        "lifecycles": make_lifecycles(
            coming, clock_stops_in=read.sla.clock_stops_in if read.sla else (), problems=problems
        ) if coming else None,
    }  # fmt: skip
    if priority:
        check_rules(priority, known, problems)
    asked: dict[str, Any] = {
        "judge": compile_judge(priority, finder, known, language) if priority and finder else None,
        "service": finder,
        "tier": compile_routing(read.routing, known, language) if read.routing else None,
        "promises": compile_promises(read.sla, known, language) if read.sla else None,
        "path": compile_use(read.escalation, known, language) if read.escalation else None,
        "refusal": None if read.permissions is None else make_permissions(read.permissions, known).refusal,
    }
    if problems.errors or priority is None:
        return None
    policy = Policy(
        version=version,
        framework=framework,
        catch_all=CATCH_ALL,
        start_with=(priority.start_with.impact, priority.start_with.urgency),
        severity=make_severity(priority.severity),
        warn_at=read.sla.warn_at if read.sla else (),
        limits=_limits(read),
        questions=Questions(**asked),
        **parts,
    )
    if services:
        warn_of_gaps(policy, services.services, problems)
    return policy


def _limits(read: _Files) -> Limits:
    mail = read.mailboxes.automatic_mail if read.mailboxes else AutomaticMail()
    pages = read.escalation.pages if read.escalation else PageLimits()
    coming = read.lifecycle.coming_back if read.lifecycle else ComingBack()
    return Limits(
        coming.refire_within, mail.per_hour, mail.per_day, mail.in_all_per_hour, pages.most_per_hour,
        pages.notice_after, coming.reopens_per_day,
    )  # fmt: skip
