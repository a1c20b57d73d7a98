"""Makes a policy of the files that an organisation wrote, or tells everything that is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from rules.categories import CategoryLine, check_categories
from rules.escalation import EscalationFile, check_escalation
from rules.gaps import warn_of_gaps
from rules.known import ROLES, Known
from rules.language import Language
from rules.lifecycle import STATES, LifecycleFile, check_lifecycle
from rules.mailboxes import MailboxesFile, check_mailboxes
from rules.make import Written, make_policy
from rules.nodes import read_nodes
from rules.oncall import OncallFile, check_oncall
from rules.people import PersonLine, check_people
from rules.permissions import PermissionLine, check_permissions
from rules.policy import Policy
from rules.priority import PriorityFile, check_priority
from rules.problems import Problem, Problems, Where, Word, expected
from rules.reading import BAD, read_value
from rules.routing import RoutingFile, check_routing
from rules.services import ServicesFile, check_services
from rules.sla import SlaFile, check_sla


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a file must hold, and what is checked once all files are read."""

    holds: Any
    check: Callable[[Any, Known], None]


_KINDS: Mapping[str, _Kind] = {
    "services.yml": _Kind(ServicesFile, check_services),
    "people.yml": _Kind(Mapping[Word, PersonLine], check_people),
    "priority.yml": _Kind(PriorityFile, check_priority),
    "routing.yml": _Kind(RoutingFile, check_routing),
    "sla.yml": _Kind(SlaFile, check_sla),
    "escalation.yml": _Kind(EscalationFile, check_escalation),
    "oncall.yml": _Kind(OncallFile, check_oncall),
    "lifecycle.yml": _Kind(LifecycleFile, check_lifecycle),
    "categories.yml": _Kind(Mapping[Word, CategoryLine], check_categories),
    "permissions.yml": _Kind(Mapping[Word, PermissionLine], check_permissions),
    "mailboxes.yml": _Kind(MailboxesFile, check_mailboxes),
}
#: Every file of a policy, and what it must hold.
FILES: Mapping[str, Any] = {name: kind.holds for name, kind in _KINDS.items()}
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


def load_policy(files: Mapping[str, PolicyFile], *, framework: str, zone: ZoneInfo) -> Loaded:
    """The policy that ``files`` (by name, pack and organisation together) say; ``zone`` is the desk's."""
    problems = Problems()
    for name, file in files.items():
        if name not in FILES:
            problems.add(Where(file.path, 1), _no_file(name))
    read = {name.removesuffix(".yml"): _read(name, files, problems) for name in FILES}
    known = Known(_names(read), problems, Language(zone))
    for name, kind in _KINDS.items():
        written = read[name.removesuffix(".yml")]
        if written is not None:
            kind.check(written, known)
    if problems.errors:
        errors = sorted(problems.errors, key=lambda problem: (problem.where.file, problem.where.line))
        return Loaded(None, errors, problems.warnings)
    whole = Written(**read)
    policy = make_policy(whole, framework=framework, zone=zone, version=version_of(files))
    warn_of_gaps(policy, whole, problems)
    return Loaded(policy, (), problems.warnings)


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


def _names(read: Mapping[str, Any]) -> dict[str, Collection[str] | None]:
    """The names that the files define; None where the file could not be read."""
    services, oncall, escalation = read["services"], read["oncall"], read["escalation"]
    return {
        "team": None if services is None else services.teams,
        "service": None if services is None else services.services,
        "category": read["categories"],
        "rotation": None if oncall is None else oncall.rotations,
        "person": read["people"],
        "path": None if escalation is None else escalation.paths,
        "state": STATES,
        "role": ROLES,
    }
