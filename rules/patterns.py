"""Patterns that take linear time, whatever text they are tried on: stars in words, and RE2 in texts."""

from __future__ import annotations

from collections.abc import Callable

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
        search = re2.compile(str(text), options).search
    except re2.error as error:
        said = error.args[0] if error.args else "it cannot be read"
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(
            f"this is no pattern that takes linear time: {said}; expected RE2's syntax, without look-around "
            "and back references"
        ) from None
    return lambda value: search(value) is not None


def compile_glob(text: str) -> Callable[[str], bool]:
    """Whether a word is ``text``, in which ``*`` stands for anything; capitals make no difference.

    >>> compile_glob("shop*.example.com")("SHOP7.example.com")
    True
    >>> compile_glob("*@example.com")("ann@example.org")
    False
    """
    wanted = text.casefold()
    if "*" not in wanted:
        return lambda value: value.casefold() == wanted
    head, *middle, tail = wanted.split("*")
    least = len(head) + len(tail)

    def fits(value: str) -> bool:
        value = value.casefold()
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
