"""people.yml: who works here. Everyone else is learnt from their mail, and has no rights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

from rules.conditions import Words
from rules.known import Known
from rules.policy import Agent
from rules.problems import Word
from rules.reading import address, setting, zone


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLine:
    """Somebody who works here."""

    name: str = setting("Full name.")
    mail: Annotated[str, address] = setting("Address at which they are told, and known by.")
    team: Word = setting("The team they work in.")
    roles: Words = setting("What they may do, by `permissions.yml`.", default=())
    zone: Annotated[ZoneInfo, zone] | None = setting("Their time zone; the desk's when left out.", default=None)
    language: str | None = setting("Their language, such as `en`; the desk's when left out.", default=None)


def check_people(written: Mapping[Word, PersonLine], known: Known) -> None:
    """Their teams and roles are there, and each address is one person's."""
    seen: dict[str, Word] = {}
    for handle, line in written.items():
        known.check("team", [line.team])
        known.check("role", line.roles)
        if line.mail in seen:
            known.problems.add(handle.where, f"{line.mail} is {seen[line.mail]}'s address too, expected one person's")
        seen.setdefault(line.mail, handle)


def make_agents(written: Mapping[Word, PersonLine]) -> Mapping[str, Agent]:
    """The people by handle."""
    return {str(handle): _agent(handle, line) for handle, line in written.items()}


def _agent(handle: Word, line: PersonLine) -> Agent:
    zone_name = None if line.zone is None else line.zone.key
    roles = frozenset(map(str, line.roles))
    return Agent(str(handle), line.name, line.mail, str(line.team), roles, zone_name, line.language)
