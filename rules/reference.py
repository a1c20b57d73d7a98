"""Writes the pages that describe settings and policy from the dataclasses that read them."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from rules.problems import Where


def describe(files: Mapping[str, Any], shared: Any = None) -> str:
    """A chapter for each file: a table of its keys, then those of the tables in it, each told once.

    The keys of ``shared`` are not told again where another dataclass has them all.
    """
    told: set[Any] = set()
    lines: list[str] = []
    for file, kind in files.items():
        lines += [f"## {file}", ""]
        for path, made in _sections(kind, ""):
            if made not in told:
                told.add(made)
                lines += _table(path, made, shared)
    return "\n".join(lines)


def undocumented(kind: Any) -> list[str]:
    """Fields without a sentence."""
    return [
        f"{made.__name__}.{each.name}"
        for _, made in _sections(kind, "")
        for each in _keys(made)
        if not each.metadata.get("sentence", "").endswith(".")
    ]


def _sections(kind: Any, heading: str) -> Iterator[tuple[str, Any]]:
    """The dataclasses that an annotation holds, outermost first, each with the path of keys that leads to it."""
    for made, step in _inside(kind):
        path = f"{heading}{step}".lstrip(".")
        yield path, made
        hints = get_type_hints(made, include_extras=True)
        for each in _keys(made):
            key = each.metadata.get("key") or each.name
            yield from _sections(hints[each.name], f"{path}.{key}" if path else key)


def _inside(kind: Any) -> Iterator[tuple[Any, str]]:
    """The dataclasses just below an annotation, with how they are reached."""
    if is_dataclass(kind):
        yield kind, ""
    elif get_origin(kind) is tuple:
        yield from ((made, "[]" + step) for made, step in _inside(get_args(kind)[0]))
    elif get_origin(kind) is Mapping:
        yield from ((made, ".NAME" + step) for made, step in _inside(get_args(kind)[1]))
    elif get_origin(kind) in {Union, types.UnionType}:
        for each in get_args(kind):
            yield from _inside(each)


def _keys(made: Any) -> list[Field[Any]]:
    hints = get_type_hints(made, include_extras=True)
    return [each for each in fields(made) if hints[each.name] is not Where]


def _table(heading: str, made: Any, shared: Any) -> Iterator[str]:
    hints = get_type_hints(made, include_extras=True)
    told = {each.name for each in fields(shared)} if shared in made.__mro__[1:] else set()
    beside = f" Beside these keys, it takes the {shared.__name__.lower()}." if told else ""
    yield from (f"### `{heading}`", "") if heading else ()
    yield from (f"{made.__doc__}{beside}", "")
    yield from ("| key | value | default | |", "|---|---|---|---|")
    for each in _keys(made):
        if each.name in told:
            continue
        key, kind = each.metadata.get("key") or each.name, _kind(hints[each.name])
        yield f"| `{key}` | {kind} | {_default(each)} | {each.metadata.get('sentence', '')} |"
    yield ""


def _kind(kind: Any) -> str:
    """An annotation, for people."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        line = (args[1].__doc__ or "").splitlines()[0].rstrip(".")
        return line[:1].lower() + line[1:]
    if origin is Literal:
        return "one of " + ", ".join(f"`{word}`" for word in args)
    if origin is tuple:
        return f"list of: {_kind(args[0])}"
    if origin is Mapping:
        return f"table by name, each: {_kind(args[1])}"
    if origin in {Union, types.UnionType}:
        return " or ".join(_kind(each) for each in args if each is not type(None))
    return "a table" if is_dataclass(kind) else _PLAIN[kind.__name__]


_PLAIN = {"str": "text", "Word": "word", "int": "whole number", "bool": "`true` or `false`", "timedelta": "duration"}
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_MIB = 1_048_576


def _default(each: Field[Any]) -> str:
    if each.default_factory is not MISSING:
        return ""
    if each.default is MISSING:
        return "*required*"
    return "" if each.default in {None, (), ""} else f"`{_value(each.default)}`"


def _value(value: Any) -> str:
    """A default as it would be written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        unit, factor = next((unit, factor) for unit, factor in _UNITS if seconds % factor == 0)
        return f"{seconds // factor}{unit}"
    if isinstance(value, int) and value >= _MIB and value % _MIB == 0:
        return f"{value // _MIB}MiB"
    if type(value) is tuple:
        return ", ".join(map(_value, value))
    if isinstance(value, float):
        return f"{value:.0%}"
    return str(value)
