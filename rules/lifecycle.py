"""lifecycle.yml: how work really moves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Literal, NamedTuple

from incidents.assessment import Priority
from incidents.incident import OPEN_STATES
from incidents.lifecycle import Lifecycle, Move, State
from rules.known import Known
from rules.moves import read_moves
from rules.problems import NOWHERE, Problems, Where, Word, expected
from rules.reading import setting

STATES = (*OPEN_STATES, "resolved", "closed")
FIRST = "new"
NEEDED = (FIRST, "working", "resolved", "closed")
Need = Literal["assignee", "vendor_reference", "vendor_promise", "symptom", "cause", "fix", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLine:
    """A state."""

    label: str | None = setting("What people call it.", default=None)
    needs: tuple[Need, ...] = setting(
        "What a person must have filled in before it is entered; machines need nothing.", default=()
    )
    stays_for: tuple[Priority, ...] = setting(
        "Of `restored`: priorities at which the business must agree before it goes on to resolved.", default=()
    )
    final: bool = setting("Whether nothing more is done in it.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindLines:
    """The life of one kind of record."""

    extends: Literal["incident"] | None = setting("Begin with the states and moves of this kind.", default=None)
    without: tuple[Word, ...] = setting("States left out; what led into one leads to where it led.", default=())
    states: Mapping[Word, StateLine] = setting(f"States by name: {', '.join(STATES)}.", factory=dict)
    moves: tuple[Word, ...] = setting(
        "Lines `state -> state, state`. `any` and `waiting_*` stand for several. In brackets: `after 5d` (by "
        "itself), `within 14d` (no later), `by manager or admin` (nobody else).",
        default=(),
    )
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingBack:
    """What comes back."""

    refire_within: timedelta = setting(
        "How long after the end of an alert a new firing returns to the same record; most flapping is faster.",
        default=timedelta(minutes=30),
    )
    reopens_per_day: int = setting(
        "How often replies may reopen one record in a day; beyond it a robot is answering.", default=5
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleFile:
    """How work really moves."""

    incident: KindLines = setting("The life of an incident.")
    service_request: KindLines = setting("The life of a service request.")
    coming_back: ComingBack = setting("What comes back.", factory=ComingBack)
    where: Where = NOWHERE


class _Life(NamedTuple):
    """States and moves while they are put together; ``close_after`` and ``reopen_within`` None until said."""

    states: Mapping[str, StateLine]
    moves: dict[tuple[str, str], Move]
    close_after: timedelta | None
    reopen_within: timedelta | None


def check_lifecycle(written: LifecycleFile, known: Known) -> None:
    """Both lives are complete, without dead ends, and use words that exist."""
    make_lifecycles(written, clock_stops_in=(), problems=known.problems)


def make_lifecycles(
    written: LifecycleFile, *, clock_stops_in: Collection[str], problems: Problems
) -> Mapping[str, Lifecycle]:
    """The lives of both kinds; what is wrong with them is told."""
    lives: dict[str, _Life] = {}
    made: dict[str, Lifecycle] = {}
    for kind in ("incident", "service_request"):
        lines: KindLines = getattr(written, kind)
        before = len(problems.errors)
        life = _put_together(lines, lives.get(lines.extends or ""), problems)
        if len(problems.errors) == before:
            _check(life, lines, problems)
        lives[kind] = life
        made[kind] = _lifecycle(kind, life, clock_stops_in)
    return made


def _put_together(lines: KindLines, base: _Life | None, problems: Problems) -> _Life:
    states = dict(base.states) if base else {}
    for name, line in lines.states.items():
        if name not in STATES:
            problems.add(name.where, f"there is no state {name!r}, {expected(name, STATES)}")
        states[str(name)] = _changed(states[name], line) if name in states else line
    moves = dict(base.moves) if base else {}
    for word in lines.without:
        if word not in states:
            problems.add(word.where, f"there is no state {word!r}, {expected(word, states)}")
            continue
        moves = _bridge(moves, word)
        del states[word]
    times = {"after": base.close_after if base else None, "within": base.reopen_within if base else None}
    for text in sorted(lines.moves, key=lambda text: not text.startswith("any")):
        for move, after in read_moves(text, states, problems):
            moves[move.start, move.end] = move
            if after is not None:
                times["after"] = after
            if move.within is not None and move.start == "closed":
                times["within"] = move.within
    return _Life(states, moves, times["after"], times["within"])


def _changed(old: StateLine, new: StateLine) -> StateLine:
    """A state of another kind with what is said anew; the rest stays."""
    return replace(old, **{each.name: value for each in fields(new) if (value := getattr(new, each.name))})


def _bridge(moves: Mapping[tuple[str, str], Move], gone: str) -> dict[tuple[str, str], Move]:
    """The moves without a state: what led into it leads to where it led."""
    kept = {pair: move for pair, move in moves.items() if gone not in pair}
    into = [start for start, end in moves if end == gone]
    out = [move for (start, _), move in moves.items() if start == gone]
    for start in into:
        for move in out:
            if start != move.end:
                kept.setdefault((start, move.end), Move(start, move.end, move.within, move.roles))
    return kept


def _check(life: _Life, lines: KindLines, problems: Problems) -> None:
    """No state that is never reached, and none from which nothing ends."""
    forward = _reach(FIRST, [(start, end) for start, end in life.moves])
    finals = [name for name, line in life.states.items() if line.final]
    backward = {name for final in finals for name in _reach(final, [(end, start) for start, end in life.moves])}
    for name in life.states:
        if name not in forward:
            problems.add(
                lines.where, f"no move leads to the state {name!r} from {FIRST}, expected one, or not the state"
            )
        elif name not in backward:
            problems.add(lines.where, f"the state {name!r} is a dead end, expected moves from it to a final state")
    for name in NEEDED:
        if name not in life.states:
            problems.add(lines.where, f"there is no state {name!r}, expected it: the desk itself moves records to it")
    if life.close_after is None:
        problems.add(lines.where, "no move says when what is resolved closes, expected resolved -> closed (after 5d)")
    if life.reopen_within is None:
        problems.add(lines.where, "no move leads back from closed, expected closed -> working (reopen within 14d)")


def _reach(begin: str, pairs: Collection[tuple[str, str]]) -> set[str]:
    """All states that moves lead to."""
    found, edge = {begin}, {begin}
    while edge:
        edge = {end for start, end in pairs if start in edge} - found
        found |= edge
    return found


def _lifecycle(kind: str, life: _Life, clock_stops_in: Collection[str]) -> Lifecycle:
    states = {
        name: State(name, line.label or name, line.needs, name in clock_stops_in, line.final)
        for name, line in life.states.items()
    }
    restored = life.states.get("restored")
    return Lifecycle(
        kind,
        states,
        life.moves,
        life.close_after or timedelta(0),
        life.reopen_within or timedelta(0),
        frozenset(restored.stays_for if restored else ()),
    )
