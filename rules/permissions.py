"""permissions.yml: who may do what, with the records of their own team and with any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from rules.known import Known
from rules.problems import Word
from rules.reading import setting

Action = Literal[
    "everything", "read", "open", "ack", "assign", "note", "reply", "set", "wait", "restore", "waive", "resolve",
    "reopen", "merge", "close",
]  # fmt: skip
EVERYTHING, *ACTIONS = get_args(Action)


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionLine:
    """What a role may do."""

    any_team: tuple[Action, ...] = setting(
        f"Actions on every record: {', '.join(ACTIONS)}, or `{EVERYTHING}`.", default=(), key="any team"
    )
    own_team: tuple[Action, ...] = setting("Actions on the records of one's own team.", default=(), key="own team")


@dataclass(frozen=True, slots=True)
class Permissions:
    """The roles that may do each action: on any record, and on those of their own team."""

    anywhere: Mapping[str, frozenset[str]]
    own: Mapping[str, frozenset[str]]

    def refusal(self, action: str, roles: frozenset[str], *, own_team: bool) -> str | None:
        """None when one of the roles may do this, else a sentence that says which role was missing."""
        anywhere, own = self.anywhere[action], self.own[action]
        if not roles.isdisjoint(anywhere) or (own_team and not roles.isdisjoint(own)):
            return None
        needed = sorted(anywhere) + sorted(f"{role} of the owning team" for role in own - anywhere)
        have = ", ".join(sorted(roles)) or "no role"
        return f"{action} needs the role {_either(needed)}; you have {have}"


def check_permissions(written: Mapping[Word, PermissionLine], known: Known) -> None:
    """The roles are roles."""
    known.check("role", written)


def make_permissions(written: Mapping[Word, PermissionLine]) -> Permissions:
    """The table by action."""
    return Permissions(
        {action: _roles(written, action, "any_team") for action in ACTIONS},
        {action: _roles(written, action, "own_team") for action in ACTIONS},
    )


def _roles(written: Mapping[Word, PermissionLine], action: str, reach: str) -> frozenset[str]:
    return frozenset(
        str(role) for role, line in written.items() if not {action, EVERYTHING}.isdisjoint(getattr(line, reach))
    )


def _either(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) or "that no policy gives"
