"""The policy in force, as values: what `rules.load` makes of the files, and all that the core asks of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from incidents.assessment import Decided
from incidents.escalation import Path
from incidents.lifecycle import Lifecycle
from incidents.matrix import Matrix
from incidents.oncall import Rotation
from rules.asked import Asked
from rules.facts import Facts
from rules.phrases import read_phrase


@dataclass(frozen=True, slots=True)
class Team:
    """Who owns work: a mail address for all of it, and a rotation when somebody is on call."""

    name: str
    mail: str | None
    on_call: str | None


@dataclass(frozen=True, slots=True)
class Service:
    """What we run; ``owners[0]`` is the team of tier 1."""

    name: str
    owners: Sequence[str]
    business_unit: str | None
    critical: bool


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody who works here."""

    handle: str
    name: str
    mail: str
    team: str
    roles: frozenset[str]
    zone: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class DeskMailbox:
    """A desk address: ``ack`` is always, verified or never; ``follow_up`` what a reply to a closed record does."""

    name: str
    ack: str
    follow_up: str  # reopen, new
    unknown_senders: str  # accept, refuse
    lists: Sequence[str]
    watchers: bool  # whether people in Cc become watchers
    subject_must_match: bool


class Promise(NamedTuple):
    """One line of the policy's target table: name (``respond``, ``restore``, ``resolve``), length, calendar."""

    name: str
    length: timedelta
    calendar: str


class Told(NamedTuple):
    """Somebody whom a step tells: an agent's handle (None for a team's own address), and the phrase that named them."""

    handle: str | None
    address: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Category:
    """What a record is about: a dotted name; ``owner`` is the team that keeps it in order."""

    name: str
    label: str
    owner: str | None


class HintLine(NamedTuple):
    """What a level means in the policy's ``severity:`` table."""

    impact: str
    urgency: str
    priority: str


class Judged(NamedTuple):
    """What the rules say of some facts: a value and reason by field, and the floor if one spoke."""

    fields: Mapping[str, Decided]
    floor: Decided | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of the policy that bound what the desk does by itself."""

    refire_within: timedelta
    automatic_mails_per_hour: int
    automatic_mails_per_day: int
    automatic_mails_in_all_per_hour: int
    pages_per_hour: int
    notice_after: timedelta
    reopens_per_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is compiled of the rules: each answers one question about facts."""

    judge: Callable[[Asked], Judged]
    service: Callable[[Asked], Decided]
    tier: Callable[[Asked], Decided]
    promises: Callable[[Asked], Sequence[Promise]]
    path: Callable[[Asked], str | None]
    refusal: Callable[..., str | None]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Policy:
    """Everything an organisation decided. Immutable; a reload makes a new one.

    ``version`` is the first 12 hexadecimal digits of the SHA-256 over the files in force.
    """

    version: str
    framework: str
    teams: Mapping[str, Team]
    services: Mapping[str, Service]
    catch_all: str  # the service that owns what no other claims
    categories: Mapping[str, Category]
    agents: Mapping[str, Agent]
    mailboxes: Mapping[str, DeskMailbox]
    lifecycles: Mapping[str, Lifecycle]
    matrices: Mapping[str, Matrix]
    rotations: Mapping[str, Rotation]
    paths: Mapping[str, Path]
    start_with: tuple[str, str]  # impact, urgency
    severity: Mapping[str, HintLine]
    warn_at: Sequence[float]
    limits: Limits
    questions: Questions

    def judge(self, facts: Facts) -> Judged:
        """Ask every rule and floor; ordered fields take the strongest word, others a floor's, then the first rule's.

        The rules read the service that the facts point at, and it is told where no rule sets another.
        """
        return self.questions.judge(Asked(facts))

    def service_of(self, facts: Facts) -> Decided:
        """The service that the facts point at; the catch-all service when none does."""
        return self.questions.service(Asked(facts))

    def route(self, facts: Facts) -> Decided:
        """The tier that work starts at (as text), by the first routing rule that matches."""
        return self.questions.tier(Asked(facts))

    def owner(self, service: str | None, tier: int) -> Team:
        """The one team that owns this tier of a service; beyond its last tier, the last one."""
        owners = self._service(service).owners
        return self.teams[owners[min(max(tier, 1), len(owners)) - 1]]

    def priority(self, service: str | None, impact: str, urgency: str) -> Decided:
        """The business unit's matrix on impact and urgency."""
        matrix = self.matrices.get(self._service(service).business_unit or "default", self.matrices["default"])
        value = matrix.priority(impact, urgency)
        return Decided(value, f"impact {impact} and urgency {urgency} in the matrix {matrix.name}")

    def promises(self, facts: Facts) -> Sequence[Promise]:
        """The targets that the first matching line of the table names."""
        return self.questions.promises(Asked(facts))

    def path_for(self, facts: Facts) -> Path | None:
        """The escalation path that the first matching line of ``use:`` names; None where it says none."""
        name = self.questions.path(Asked(facts))
        return None if name is None else self.paths[name]

    def tell(self, phrase: str, *, service: str | None, tier: int, now: datetime) -> Sequence[Told]:
        """Whom a step's phrase names at ``now``; empty when nobody."""
        said = read_phrase(phrase)
        if said.who in {"team", "next tier"}:
            team = self._owner_at(service, tier + (said.who == "next tier"))
            if team is None or not said.on_call:
                return () if team is None or team.mail is None else (Told(None, team.mail, phrase),)
            handle = self._on_call(team.on_call, now)
        else:
            handle = self._on_call(said.name, now) if said.on_call else said.name
        agent = self.agents.get(handle or "")
        return () if agent is None else (Told(agent.handle, agent.mail, phrase),)

    def refusal(self, action: str, roles: frozenset[str], *, own_team: bool) -> str | None:
        """None when one of the roles may do this, else a sentence that says which role was missing."""
        return self.questions.refusal(action, roles, own_team=own_team)

    def _service(self, name: str | None) -> Service:
        return self.services.get(name or self.catch_all, self.services[self.catch_all])

    def _owner_at(self, service: str | None, tier: int) -> Team | None:
        """The team of a tier that exists; beyond the last one there is nobody new to tell."""
        return self.owner(service, tier) if tier <= len(self._service(service).owners) else None

    def _on_call(self, rotation: str | None, now: datetime) -> str | None:
        return None if rotation is None else self.rotations[rotation].on_call(now)
