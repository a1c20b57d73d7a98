"""The names that a policy defines, against which every word that mentions one is checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rules.conditions import Conditions
from rules.language import Language
from rules.problems import Problems, Word, expected

#: Who may be named in people.yml and permissions.yml; see docs/reference/policy.md.
ROLES = (
    "requester", "agent", "lead", "expert", "commander", "comms", "change_authority", "business_owner", "manager",
    "auditor", "privacy", "admin",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """Names by what they name: ``team``, ``service``, ``category``, ``rotation``, ``person``, ``path``, ``state``.

    None where the file that defines them could not be read: then nobody is told that a name does not exist.
    ``language`` reads the conditions.
    """

    names: Mapping[str, Collection[str] | None]
    problems: Problems
    language: Language

    def check(self, what: str, words: Iterable[Word | None]) -> None:
        """Tell each word that names nothing, with the nearest name that exists."""
        known = self.names[what]
        if known is None:
            return
        for word in words:
            if word is not None and word not in known and word not in self.problems.lost:
                self.problems.add(word.where, f"there is no {what} {word[:80]!r}, {expected(word, known)}")

    def check_conditions(self, asks: Conditions) -> None:
        """Tell each word of some matchers that names nothing, and a condition that cannot be read."""
        self.check("service", asks.service)
        self.check("category", asks.category)
        self.check("team", asks.team)
        self.check("state", asks.state)
        if asks.when is not None:
            try:
                self.language.compile(asks.when)
            except ValueError as error:
                self.problems.add(asks.when.where, str(error))
