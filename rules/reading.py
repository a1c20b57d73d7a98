"""Reads trees of text into documented frozen dataclasses, by their annotations, and collects every problem.

A field is made by `setting`, whose sentence the reference pages show. What may stand in a field follows from its
annotation: text, a number, a duration, a choice of words (``Literal``), a list (one item may stand without the
list), a table, another dataclass, or text that a function reads (``Annotated[type, function]``).
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from kit.addresses import normal_address
from kit.durations import parse_duration
from kit.text import clean_text
from rules.nodes import Items, Node, Scalar, Table
from rules.problems import Problems, Where, Word, expected

_WHOLE = re.compile(r"-?[0-9]{1,15}")

#: What a field is when it could not be read.
BAD: Final = object()


def setting(sentence: str, *, default: Any = MISSING, factory: Any = MISSING, key: str | None = None) -> Any:
    """A field of a file: its sentence (meaning, unit, reason of the default), and its key where Python forbids it."""
    metadata = {"sentence": sentence, "key": key}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata) if default is not MISSING else field(metadata=metadata)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a dataclass expects: for every key its field's name and type; the keys that must be there; its place."""

    keys: Mapping[str, tuple[str, Any]]
    required: tuple[str, ...]
    places: tuple[str, ...]


@cache
def shape_of(made: Any) -> Shape:
    """The shape of a documented dataclass. A field of type `Where` is given the place, and is no key."""
    hints = get_type_hints(made, include_extras=True)
    read = [each for each in fields(made) if hints[each.name] is not Where]
    places = tuple(each.name for each in fields(made) if hints[each.name] is Where)
    keys = {each.metadata.get("key") or each.name: (each.name, hints[each.name]) for each in read}
    required = tuple(
        each.metadata.get("key") or each.name
        for each in read
        if each.default is MISSING and each.default_factory is MISSING
    )
    return Shape(keys, required, places)


def read_value(wanted: Any, node: Node, problems: Problems) -> Any:
    """What ``node`` is as a ``wanted``, or `BAD` after telling why."""
    if is_dataclass(wanted) and isinstance(wanted, type):
        return read_table(wanted, node, problems)
    origin = get_origin(wanted)
    if origin in _READERS:
        return _READERS[origin](get_args(wanted), node, problems)
    return _read_by(_SCALARS[wanted], node, problems)


def read_table(made: Any, node: Node, problems: Problems) -> Any:
    """A dataclass from a table: unknown keys are told with the nearest and all known ones."""
    if not isinstance(node, Table):
        keys = ", ".join(shape_of(made).keys)
        problems.add(node.where, f"here stands {_what(node)}, expected a table of keys: {keys}")
        return BAD
    shape = shape_of(made)
    values: dict[str, Any] = dict.fromkeys(shape.places, node.where)
    bad = False
    for key, child in node.entries.items():
        if key not in shape.keys:
            problems.add(node.keys[key], _unknown(key, made, shape))
            continue
        name, wanted = shape.keys[key]
        value = read_value(wanted, child, problems)
        bad = bad or (value is BAD and key in shape.required)
        if value is not BAD:
            values[name] = value
    for key in shape.required:
        if key not in node.entries:
            problems.add(node.where, f"{key!r} is missing, expected it beside {_listed(node.entries)}")
            bad = True
    return BAD if bad else made(**values)


def _unknown(key: str, made: type, shape: Shape) -> str:
    """The sentence about a key that is not there; ``LATER`` of a dataclass names those of later versions."""
    later: Mapping[str, str] = getattr(made, "LATER", {})
    if key in later:
        return f"{key!r} ({later[key]}) is not in this version, expected only: {', '.join(shape.keys)}"
    return f"{clean_text(key, 80)!r} is no key here, {expected(key, shape.keys)}"


def _read_items(wanted: tuple[Any, ...], node: Node, problems: Problems) -> Any:
    """A list; one item may stand without it."""
    if isinstance(node, Scalar) and node.empty:
        return ()
    listed = node.items if isinstance(node, Items) else (node,)
    read = [read_value(wanted[0], item, problems) for item in listed]
    return tuple(item for item in read if item is not BAD)


def _read_mapping(wanted: tuple[Any, ...], node: Node, problems: Problems) -> Any:
    """A table of names that the writer chose."""
    if isinstance(node, Scalar) and node.empty:
        return {}
    if not isinstance(node, Table):
        problems.add(node.where, f"here stands {_what(node)}, expected a table of names")
        return BAD
    found: dict[Word, Any] = {}
    for key, child in node.entries.items():
        value = read_value(wanted[1], child, problems)
        if value is BAD:
            problems.lost.add(key)
        else:
            found[Word(clean_text(key), node.keys[key])] = value
    return found


def _read_union(wanted: tuple[Any, ...], node: Node, problems: Problems) -> Any:
    """``X | None``, or text beside a table: the node itself says which."""
    if type(None) in wanted and isinstance(node, Scalar) and node.empty:
        return None
    rest = [each for each in wanted if each is not type(None)]
    if len(rest) == 1:
        return read_value(rest[0], node, problems)
    tables = [each for each in rest if is_dataclass(each)]
    others = [each for each in rest if not is_dataclass(each)]
    return read_value((tables if isinstance(node, Table) else others)[0], node, problems)


def _read_choice(words: tuple[Any, ...], node: Node, problems: Problems) -> Any:
    """One of a few words."""
    if isinstance(node, Scalar) and node.text in words:
        return node.text
    said = repr(clean_text(node.text, 80)) if isinstance(node, Scalar) else _what(node)
    problems.add(node.where, f"here stands {said}, expected one of {', '.join(words)}")
    return BAD


def _read_annotated(wanted: tuple[Any, ...], node: Node, problems: Problems) -> Any:
    """Text that the annotation's function reads."""
    return _read_by(wanted[1], node, problems)


def _read_by(function: Callable[[Word], Any], node: Node, problems: Problems) -> Any:
    """A scalar by the function that reads its text; the function's ValueError is the problem's sentence."""
    if not isinstance(node, Scalar) or node.empty:
        problems.add(node.where, f"here stands {_what(node)}, expected {_expects(function)}")
        return BAD
    try:
        return function(Word(clean_text(node.text), node.where))
    except ValueError as error:
        problems.add(node.where, str(error))
        return BAD


def _expects(function: Callable[[Word], Any]) -> str:
    """What a reading function wants, by the first line of its docstring."""
    line = (function.__doc__ or "").splitlines()[0].rstrip(".")
    return line[:1].lower() + line[1:]


def _what(node: Node) -> str:
    if isinstance(node, Scalar):
        return "nothing" if node.empty else "a single value"
    return "a list" if isinstance(node, Items) else "a table"


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(clean_text(name, 80) for name in names) or "nothing else"


def address(word: Word) -> str:
    """A mail address such as desk@example.com."""
    normal = normal_address(word)
    if normal is None:
        raise ValueError(f"{word[:80]!r} is no mail address, expected one such as desk@example.com")
    return normal


def zone(word: Word) -> ZoneInfo:
    """A time zone such as Europe/Berlin."""
    try:
        return ZoneInfo(word)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"{word[:80]!r} is no time zone, expected one such as Europe/Berlin") from None


def _text(word: Word) -> str:
    """Text."""
    return str(word)


def _word(word: Word) -> Word:
    """A word."""
    return word


def _whole(word: Word) -> int:
    """A whole number."""
    if not _WHOLE.fullmatch(word):
        raise ValueError(f"{word[:80]!r} is no whole number, expected digits such as 5")
    return int(word)


def _flag(word: Word) -> bool:
    """True or false."""
    if word not in {"true", "false"}:
        raise ValueError(f"here stands {word[:80]!r}, expected true or false")
    return word == "true"


def _duration(word: Word) -> timedelta:
    """A duration such as 15m."""
    return parse_duration(word)


_SCALARS: dict[Any, Callable[[Word], Any]] = {
    str: _text,
    Word: _word,
    int: _whole,
    bool: _flag,
    timedelta: _duration,
}

_READERS: dict[Any, Callable[[tuple[Any, ...], Node, Problems], Any]] = {
    Annotated: _read_annotated,
    Union: _read_union,
    types.UnionType: _read_union,
    Literal: _read_choice,
    tuple: _read_items,
    Mapping: _read_mapping,
}
