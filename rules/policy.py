"""The policy in force, as values: what `rules.load` makes of the files, and all that the core asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from incidents.assessment import Decided
from incidents.escalation import Path
from incidents.lifecycle import Lifecycle
from incidents.matrix import Matrix
from incidents.oncall import Rotation
from rules.facts import Facts


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
    """Somebody whom a step tells: an agent's handle, or None for a team's own address; and the phrase that named them."""

    handle: str | None
    address: str
    phrase: str


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


class Policy:
    """Everything an organisation decided. Immutable; a reload makes a new one."""

    version: str
    framework: str
    teams: Mapping[str, Team]
    services: Mapping[str, Service]
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

    def judge(self, facts: Facts) -> Judged:
        """Ask every rule and floor; ordered fields take the strongest word, others the first rule's."""
        raise NotImplementedError

    def service_of(self, facts: Facts) -> Decided:
        """The service that the facts point at; the catch-all service when none does."""
        raise NotImplementedError

    def route(self, facts: Facts) -> Decided:
        """The tier that work starts at (as text), by the first routing rule that matches."""
        raise NotImplementedError

    def owner(self, service: str | None, tier: int) -> Team:
        """The one team that owns this tier of a service; beyond its last tier, the last one."""
        raise NotImplementedError

    def priority(self, service: str | None, impact: str, urgency: str) -> Decided:
        """The business unit's matrix on impact and urgency."""
        raise NotImplementedError

    def promises(self, facts: Facts) -> Sequence[Promise]:
        """The targets that the first matching line of the table names."""
        raise NotImplementedError

    def path_for(self, facts: Facts) -> Path | None:
        """The escalation path that the first matching line of ``use:`` names; None where it says none."""
        raise NotImplementedError

    def tell(self, phrase: str, *, service: str | None, tier: int, now: datetime) -> Sequence[Told]:
        """Whom a step's phrase names at ``now``; empty when nobody."""
        raise NotImplementedError

    def refusal(self, action: str, roles: frozenset[str], *, own_team: bool) -> str | None:
        """None when one of the roles may do this, else a sentence that says which role was missing."""
        raise NotImplementedError
