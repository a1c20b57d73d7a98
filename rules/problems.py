"""What is wrong in a file, said so that the person who wrote it can mend it: all problems at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Self

_LISTED = 40


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file: its name, its line (from 1), and the path of keys that leads there."""

    file: str
    line: int
    path: str = ""

    def at(self, line: int, key: str | int) -> Where:
        """The place one step further down: a key of a table, or the number of a list's item."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if self.path else key
        return Where(self.file, line, self.path + step)


#: The place of what was not read from a file.
NOWHERE = Where("", 0)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, printed as ``file:line: path: what is wrong, what was expected``."""

    where: Where
    text: str

    def __str__(self) -> str:
        """The line that ``check`` prints."""
        path = f" {self.where.path}:" if self.where.path else ""
        return f"{self.where.file}:{self.where.line}:{path} {self.text}"


@dataclass(slots=True)
class Problems:
    """Collects what is found while files are read. ``lost`` are names whose definition could not be read.

    A lost name is no unknown name: whoever mentions it is right, and the problem is told where it stands.
    """

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def add(self, where: Where, text: str) -> None:
        """Something that keeps the files from being used."""
        self.errors.append(Problem(where, text))

    def warn(self, where: Where, text: str) -> None:
        """Something that is probably not meant, and harms nothing."""
        self.warnings.append(Problem(where, text))


class Word(str):
    """A word of a file that knows where it stands; in every other respect plain text."""

    __slots__ = ("where",)
    where: Where

    def __new__(cls, text: str, where: Where) -> Self:
        """A word and its place."""
        word = super().__new__(cls, text)
        word.where = where
        return word

    def __reduce__(self) -> tuple[type[Word], tuple[str, Where]]:
        """What makes it again in another process."""
        return Word, (str(self), self.where)


def expected(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest known one, and those that are known.

    >>> expected("paymets", ["payments", "platform"])
    'did you mean payments? Known: payments, platform'
    """
    names = sorted(dict.fromkeys(str(name) for name in known))
    near = get_close_matches(word, names, 1, 0.6)
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    if near:
        return f"did you mean {near[0]}? Known: {listed}"
    return f"expected one of: {listed}" if listed else "and none is defined"
