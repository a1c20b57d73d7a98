"""Matchers: what a rule asks of the facts, compiled once into functions.

All matchers of a rule must hold; of a matcher's words, one must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Literal, get_args

from incidents.assessment import Degree, Level, Priority
from rules.asked import Asked
from rules.language import Language
from rules.patterns import compile_globs, compile_pattern, linear_pattern
from rules.problems import Word
from rules.reading import setting

Holds = Callable[[Asked], bool]
Words = tuple[Word, ...]
Origin = Literal["mail", "alert", "submission"]
Kind = Literal["incident", "service_request"]
Degrees = tuple[Degree, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """A pattern that a text must contain."""

    matches: Annotated[Word, linear_pattern] = setting("A pattern in RE2's syntax; capitals make no difference.")


Phrases = tuple[Word | Matches, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must be true for a rule or a line to speak. With several words in one matcher, one must fit."""

    origin: tuple[Origin, ...] = setting(
        "How it came in: `mail`, `alert` or `submission`.", default=(), key="from"
    )
    source: Words = setting("The source's name in the configuration; `*` stands for anything.", default=())
    labels: Mapping[str, tuple[str, ...]] = setting(
        "An alert's labels, each with the values that fit; `*` stands for anything, capitals make no difference.",
        factory=dict,
    )
    resource: Words = setting("What an alert is about, such as a host; `*` stands for anything.", default=())
    sender: Words = setting("A mail's sender address, such as `*@example.com`.", default=())
    recipient: Words = setting("The desk address that a mail went to.", default=())
    subject: Phrases = setting("Phrases in the subject; capitals make no difference.", default=())
    text: Phrases = setting("Phrases in the title or the text; capitals make no difference.", default=())
    service: Words = setting("The service it is about.", default=())
    category: Words = setting("The category; one includes those below it.", default=())
    kind: tuple[Kind, ...] = setting("`incident` or `service_request`.", default=())
    impact: Degrees = setting("`high`, `medium` or `low`.", default=())
    urgency: Degrees = setting("`high`, `medium` or `low`.", default=())
    severity: tuple[Level, ...] = setting("`sev1` to `sev4`.", default=())
    priority: tuple[Priority, ...] = setting("`P1` to `P5`.", default=())
    team: Words = setting("The owning team.", default=())
    state: Words = setting("The record's state.", default=())
    when: Word | None = setting("A condition in CEL, for what the matchers cannot say.", default=None)


ORIGINS: tuple[Origin, ...] = get_args(Origin)
_NAMES = tuple(each.name for each in fields(Conditions))
#: Matchers of words that are compared whole, in the order of what they cost.
_WHOLE = ("kind", "priority", "severity", "impact", "urgency", "team", "state")
_STARRED = ("source", "sender", "recipient", "resource")


def compile_conditions(asks: Conditions, language: Language) -> Holds:
    """One function for all matchers of a rule."""
    parts: list[Holds] = []
    if asks.origin:
        parts.append(_origin(frozenset(asks.origin)))
    parts += [_whole(name, frozenset(getattr(asks, name))) for name in _WHOLE if getattr(asks, name)]
    if asks.service:
        parts.append(_service(frozenset(asks.service)))
    parts += [_label(name, values) for name, values in asks.labels.items()]
    if asks.category:
        parts.append(_category(asks.category))
    parts += [_starred(name, getattr(asks, name)) for name in _STARRED if getattr(asks, name)]
    if asks.subject:
        parts.append(_subject(asks.subject))
    if asks.text:
        parts.append(_text(asks.text))
    if asks.when is not None:
        parts.append(language.compile(asks.when))
    return _all(parts)


def always(asks: Conditions) -> bool:
    """Whether nothing is asked, so that everything fits."""
    return not any(getattr(asks, name) for name in _NAMES)


def covers(wide: Conditions, narrow: Conditions) -> bool:
    """Whether all that ``narrow`` fits, ``wide`` fits too, as far as can be told by comparing their words."""
    if wide.when not in {None, narrow.when}:
        return False
    for name in _NAMES:
        wanted, given = getattr(wide, name), getattr(narrow, name)
        if name in {"labels", "when"} or not wanted:
            continue
        if not given or not set(given) <= set(wanted):
            return False
    return all(key in narrow.labels and set(narrow.labels[key]) <= set(wide.labels[key]) for key in wide.labels)


def phrase_test(phrases: Iterable[Word | Matches]) -> Callable[[str, str], bool]:
    """Whether one of the phrases stands in a text, which is given folded and as it was."""
    words = tuple(str(phrase).casefold() for phrase in phrases if isinstance(phrase, Word))
    patterns = tuple(compile_pattern(phrase.matches) for phrase in phrases if isinstance(phrase, Matches))

    def found(folded: str, written: str) -> bool:
        for word in words:
            if word in folded:
                return True
        for pattern in patterns:  # noqa: SIM110 - a generator costs as much as the words
            if pattern(written):
                return True
        return False

    return found


def _origin(words: frozenset[str]) -> Holds:
    return lambda asked: asked.facts.origin in words


def _whole(name: str, words: frozenset[str]) -> Holds:
    def holds(asked: Asked) -> bool:
        return getattr(asked.facts, name) in words

    return holds


def _service(words: frozenset[str]) -> Holds:
    return lambda asked: asked.service in words


def _label(name: str, values: tuple[str, ...]) -> Holds:
    fits = compile_globs(values)

    def holds(asked: Asked) -> bool:
        value = asked.facts.labels.get(name)
        return value is not None and fits(value)

    return holds


def _category(words: Words) -> Holds:
    exact, below = frozenset(words), tuple(f"{word}." for word in words)

    def holds(asked: Asked) -> bool:
        category = asked.facts.category
        return category is not None and (category in exact or category.startswith(below))

    return holds


def _starred(name: str, words: Words) -> Holds:
    fits = compile_globs(words)

    def holds(asked: Asked) -> bool:
        value = getattr(asked.facts, name)
        return bool(value) and fits(value)

    return holds


def _subject(phrases: Phrases) -> Holds:
    found = phrase_test(phrases)
    return lambda asked: found(asked.facts.subject.casefold(), asked.facts.subject)


def _text(phrases: Phrases) -> Holds:
    found = phrase_test(phrases)
    if all(isinstance(phrase, Word) for phrase in phrases):
        return lambda asked: found(asked.folded(), "")
    return lambda asked: found(asked.folded(), asked.written())


def _all(parts: Sequence[Holds]) -> Holds:
    """All of them, asked one after another; nested pairs take half the time of a loop."""
    if not parts:
        return lambda _asked: True
    first = parts[0]
    if len(parts) == 1:
        return first
    rest = _all(parts[1:])
    return lambda asked: first(asked) and rest(asked)
