"""The letter of moves in lifecycle.yml: ``resolved -> closed (after 5d), working (reopen)``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple, Protocol

from incidents.lifecycle import Move
from kit.durations import parse_duration
from rules.known import ROLES
from rules.problems import Problems, Word, expected

_END = re.compile(r"([a-z_]+\*?) *(?:\(([^()]*)\))?")
_COMMA = re.compile(r",(?![^(]*\))")
_SPAN = re.compile(r"(after|within|reopen within) +(\S+)")
_ROLE = re.compile(r"[a-z_]+")


class _State(Protocol):
    @property
    def final(self) -> bool: ...


class _Note(NamedTuple):
    """What stands in brackets behind a state."""

    after: timedelta | None = None
    within: timedelta | None = None
    roles: frozenset[str] = frozenset()


def read_moves(line: Word, states: Mapping[str, _State], problems: Problems) -> Iterator[tuple[Move, timedelta | None]]:
    """The moves of one line, each with the time after which it happens by itself."""
    begin, arrow, rest = line.partition("->")
    begin = begin.strip()
    ends = [_END.fullmatch(part.strip()) for part in _COMMA.split(rest)]
    if not arrow or not all(ends):
        problems.add(line.where, f"{line[:80]!r} is no move, expected a line such as: working -> restored, closed")
        return
    starts = _named(begin, line, states, problems)
    for end in filter(None, ends):
        try:
            note = _read_note(end[2] or "")
        except ValueError as error:
            problems.add(line.where, str(error))
            continue
        for name in _named(end[1], line, states, problems):
            for start in starts:
                if start != name:
                    yield Move(start, name, note.within, note.roles), note.after


def _named(word: str, line: Word, states: Mapping[str, _State], problems: Problems) -> list[str]:
    """The states that a word stands for: itself, all that begin so, or any that is not final."""
    if word == "any":
        return [name for name, state in states.items() if not state.final]
    found = [name for name in states if name == word or (word.endswith("*") and name.startswith(word[:-1]))]
    if not found:
        problems.add(line.where, f"there is no state {word[:80]!r}, {expected(word, states)}")
    return found


def _read_note(text: str) -> _Note:
    """What a note says; ValueError where nobody can tell."""
    if text in {"", "reopen"}:
        return _Note()
    if text.startswith("by "):
        roles = frozenset(_ROLE.findall(text[3:])) - {"or", "and", "a"}
        for role in sorted(roles - set(ROLES)):
            raise ValueError(f"there is no role {role!r}, {expected(role, ROLES)}")
        if roles:
            return _Note(roles=roles)
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is no note on a move, expected after 5d, within 14d, or by manager or admin")
    span = parse_duration(match[2])
    return _Note(after=span) if match[1] == "after" else _Note(within=span)
