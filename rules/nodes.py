"""YAML as a tree of text with line numbers: the one reader of every file that people write.

Nothing is guessed: a plain word stays the text that was written (``on``, ``12:30``, ``11-25``), and whoever reads
the tree says what it should be. Names said twice, anchors and tags are refused: they hide what a file says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from kit.text import header_text
from rules.problems import Problems, Where

LARGEST = 1_048_576  # characters of one file; the largest policy file met in practice is a hundredth of it
DEEPEST = 20  # levels of nesting; nothing a person wants to read aloud has more than six

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A word, number or sentence as it was written; ``quoted`` when it stood in quotes or was a block of text."""

    where: Where
    text: str
    quoted: bool

    @property
    def empty(self) -> bool:
        """Whether nothing was written (or ``null`` or ``~``, which say so)."""
        return not self.quoted and self.text in {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    where: Where
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Keys with values, each key once; with the place of every key."""

    where: Where
    entries: dict[str, Node]
    keys: dict[str, Where]


Node = Scalar | Items | Table


class _Bad(Exception):
    """The file cannot be read further."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def read_nodes(file: str, text: str, problems: Problems) -> Node | None:
    """The tree of one file's text; None where it is empty or cannot be read, with the reason in ``problems``."""
    top = Where(file, 1)
    if len(text) > LARGEST:
        problems.add(top, f"the file has {len(text)} characters, expected at most {LARGEST}")
        return None
    try:
        events = yaml.parse(text, Loader=_Loader)
        return _Composer(file, events, problems).document()
    except _Bad as bad:
        problems.add(Where(file, bad.line), str(bad))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else 1
        said = getattr(error, "problem", None) or "there are characters that may not stand in a text file"
        problems.add(Where(file, line), f"this is no YAML: {said}")
    except UnicodeEncodeError:
        problems.add(top, "this is no text in UTF-8, expected a file saved as UTF-8")
    return None


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


class _Composer:
    """Builds the tree from the parser's events, with the caps."""

    def __init__(self, file: str, events: Iterator[Any], problems: Problems) -> None:
        self.file = file
        self.events = events
        self.problems = problems

    def document(self) -> Node | None:
        """The one document of the file."""
        root = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _Bad(_line(event), "a second document begins here, expected one a file")
                root = self.node(next(self.events), Where(self.file, 1), 0)
        return None if isinstance(root, Scalar) and root.empty else root

    def node(self, event: Any, where: Where, depth: int) -> Node:
        """The node that begins with ``event``."""
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Bad(line, "anchors and aliases (& and *) are not read here, expected the value written out")
        if event.tag not in {None, "!"}:
            raise _Bad(line, f"tags such as {event.tag} are not read here, expected the value alone")
        if depth > DEEPEST:
            raise _Bad(line, f"this is nested deeper than {DEEPEST} levels, expected fewer")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(where, event.value, quoted=not event.implicit[0])
        if isinstance(event, yaml.SequenceStartEvent):
            return self.items(where, depth)
        return self.table(where, depth)

    def items(self, where: Where, depth: int) -> Items:
        """The rest of a list."""
        found: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self.node(event, where.at(_line(event), len(found)), depth + 1))
        return Items(where, tuple(found))

    def table(self, where: Where, depth: int) -> Table:
        """The rest of a table: a key that was there already is told, and the first one stays."""
        entries: dict[str, Node] = {}
        keys: dict[str, Where] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event)
            key = self.node(event, where.at(line, "?"), depth + 1)
            if not isinstance(key, Scalar):
                raise _Bad(line, "this key is a list or a table, expected a word")
            place = where.at(line, header_text(key.text, 80))
            value = self.node(next(self.events), place, depth + 1)
            if key.text in entries:
                self.problems.add(place, f"this is said twice, first in line {keys[key.text].line}; expected it once")
                continue
            entries[key.text], keys[key.text] = value, place
        return Table(where, entries, keys)
