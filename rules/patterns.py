"""Patterns that take linear time, whatever text they are tried on: stars in words, and RE2 in texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import re2

from rules.problems import Word

LONGEST = 1000  # characters of one pattern; longer ones are lists, and belong into a list


def linear_pattern(text: Word) -> Word:
    """A pattern in RE2's syntax."""
    compile_pattern(text)
    return text


def compile_pattern(text: str) -> Callable[[str], bool]:
    """Whether a text contains the pattern; capitals make no difference. ValueError says what cannot be read.

    RE2 has no look-around and no back references: these are what makes time explode. see fault 42
    """
    if len(text) > LONGEST:
        raise ValueError(f"this pattern has {len(text)} characters, expected at most {LONGEST}")
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        re2.compile(str(text), options)
    except re2.error as error:
        said = error.args[0] if error.args else "it cannot be read"
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(
            f"this is no pattern that takes linear time: {said}; expected RE2's syntax, without look-around "
            "and back references"
        ) from None
    patterns = re2.Set.SearchSet(options)  # a set of one: its answer costs half of a match object
    patterns.Add(str(text))
    patterns.Compile()
    match = patterns.Match
    return lambda value: bool(match(value))


def compile_globs(texts: Iterable[str]) -> Callable[[str], bool]:
    """Whether a word is one of ``texts``, in which ``*`` stands for anything; capitals make no difference.

    >>> compile_globs(["shop*.example.com", "pay"])("SHOP7.example.com")
    True
    >>> compile_globs(["*@example.com"])("ann@example.org")
    False
    """
    folded = [text.casefold() for text in texts]
    exact = frozenset(text for text in folded if "*" not in text)
    globs = tuple(_glob(text) for text in folded if "*" in text)

    def fits(value: str) -> bool:
        value = value.casefold()
        if value in exact:
            return True
        for glob in globs:  # noqa: SIM110 - a generator costs as much as the globs
            if glob(value):
                return True
        return False

    return fits


def _glob(wanted: str) -> Callable[[str], bool]:
    """Whether the word has the parts between the stars in their order: each is looked for once."""
    head, *middle, tail = wanted.split("*")
    least = len(head) + len(tail)

    def fits(value: str) -> bool:
        if len(value) < least or not value.startswith(head) or not value.endswith(tail):
            return False
        at, end = len(head), len(value) - len(tail)
        for part in middle:
            at = value.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return fits
