"""services.yml: what we run, whose it is, and how a signal shows which service it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from incidents.assessment import Decided
from rules.asked import Asked
from rules.conditions import Phrases, Words, phrase_test
from rules.known import Known
from rules.patterns import compile_globs
from rules.policy import Service, Team
from rules.problems import NOWHERE, Where, Word
from rules.reading import address, setting

#: The service that everything belongs to which no other claims: so every record has an owner.
CATCH_ALL = "everything else"
_CATCH_ALL_REASON = "no service claims it"

Finder = Callable[[Asked], Decided | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamLine:
    """A team."""

    mail: Annotated[str, address] | None = setting("Address that reaches the whole team.", default=None)
    on_call: Word | None = setting("The rotation of `oncall.yml` that answers for it.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBy:
    """What shows that a signal is about a service: labels first, then hosts, then text."""

    labels: Mapping[str, tuple[str, ...]] = setting("Labels that an alert must carry, all of them.", factory=dict)
    hosts: Words = setting("Host names; `*` stands for anything, a port is ignored.", default=())
    text: Phrases = setting("Phrases in the title or the text; capitals make no difference.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLine:
    """A service."""

    owners: Words = setting("Teams; the place in the list is the tier: 1, 2, 3.")
    business_unit: str | None = setting(
        "Whose work stands still; names the matrix of `priority.yml`, `default` where there is none.", default=None
    )
    critical: bool = setting("Whether the business stops without it.", default=False)
    found_by: FoundBy = setting("How a signal shows that it is about this service.", factory=FoundBy)
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesFile:
    """What we run, for whom, and whose it is."""

    teams: Mapping[Word, TeamLine] = setting("Teams by name.")
    services: Mapping[Word, ServiceLine] = setting(
        f"Services by name. `{CATCH_ALL}` must be there: it owns what no other service claims."
    )
    where: Where = NOWHERE


def check_services(written: ServicesFile, known: Known) -> None:
    """Every service has an owner, the catch-all is there, and their words are names."""
    problems = known.problems
    known.check("rotation", [line.on_call for line in written.teams.values()])
    if CATCH_ALL not in written.services and CATCH_ALL not in problems.lost:
        problems.add(
            written.where, f"no service is called {CATCH_ALL!r}, expected it: it owns what no other service claims"
        )
    for line in written.services.values():
        known.check("team", line.owners)
        if not line.owners:
            problems.add(line.where, "this service has no owners, expected at least one team")


def make_teams(written: ServicesFile) -> Mapping[str, Team]:
    """The teams."""
    return {
        str(name): Team(str(name), line.mail, None if line.on_call is None else str(line.on_call))
        for name, line in written.teams.items()
    }


def make_services(written: ServicesFile) -> Mapping[str, Service]:
    """The services."""
    return {
        str(name): Service(str(name), tuple(map(str, line.owners)), line.business_unit, line.critical)
        for name, line in written.services.items()
    }


def compile_finder(written: ServicesFile) -> Callable[[Asked], Decided]:
    """Which service facts point at: the source's own word, then labels, hosts, text; each in the file's order."""
    named = {str(name).casefold(): Decided(str(name), "the sender named it") for name in written.services}
    labels = [_by_labels(name, line.found_by) for name, line in written.services.items() if line.found_by.labels]
    hosts = [_by_host(name, line.found_by) for name, line in written.services.items() if line.found_by.hosts]
    texts = [_by_text(name, line.found_by) for name, line in written.services.items() if line.found_by.text]
    tests = (*labels, *hosts, *texts)
    nothing = Decided(CATCH_ALL, _CATCH_ALL_REASON)

    def find(asked: Asked) -> Decided:
        if asked.facts.service is not None and (decided := named.get(asked.facts.service.casefold())):
            return decided
        for test in tests:
            if decided := test(asked):
                return decided
        return nothing

    return find


def _by_labels(name: str, found_by: FoundBy) -> Finder:
    wanted = {key: frozenset(values) for key, values in found_by.labels.items()}
    said = ", ".join(f"{key}={' or '.join(sorted(values))}" for key, values in wanted.items())
    decided = Decided(str(name), f"its labels say {said}")

    def test(asked: Asked) -> Decided | None:
        labels = asked.facts.labels
        for key, values in wanted.items():
            if labels.get(key) not in values:
                return None
        return decided

    return test


def _by_host(name: str, found_by: FoundBy) -> Finder:
    fits = compile_globs(found_by.hosts)
    decided = Decided(str(name), f"its host is one of {', '.join(found_by.hosts)}")

    def test(asked: Asked) -> Decided | None:
        for host in asked.hosts():
            if fits(host):
                return decided
        return None

    return test


def _by_text(name: str, found_by: FoundBy) -> Finder:
    tests = [
        (phrase_test([phrase]), Decided(str(name), f"its text says {getattr(phrase, 'matches', phrase)}"))
        for phrase in found_by.text
    ]

    one_of_them = phrase_test(found_by.text)

    def test(asked: Asked) -> Decided | None:
        folded, written = asked.folded(), asked.written()
        if not one_of_them(folded, written):
            return None
        return next(decided for found, decided in tests if found(folded, written))

    return test
