"""Canonical JSON (RFC 8785) for what the timeline hashes: text, whole numbers, booleans, null, lists, objects.

Fractions are refused: their canonical form is the one hard part of the RFC, and no entry needs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

_LARGEST = 2**53 - 1


def canonical(value: Any) -> str:  # noqa: PLR0911 - one return a JSON type
    """The one written form of ``value``; see rfc8785.

    >>> canonical({"b": [1, True, None], "a": "é"})
    '{"a":"é","b":[1,true,null]}'
    """
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int:
        if -_LARGEST <= value <= _LARGEST:
            return str(value)
        raise ValueError(f"{value} does not fit a number of canonical JSON")
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is list or kind is tuple:
        items = [encode_basestring(item) if type(item) is str else canonical(item) for item in value]
        return "[" + ",".join(items) + "]"
    if isinstance(value, dict):
        return "{" + ",".join([f"{encode_basestring(key)}:{canonical(value[key])}" for key in _in_order(value)]) + "}"
    if isinstance(value, str):  # an enum's word
        return encode_basestring(str(value))
    raise TypeError(f"{kind.__name__} has no canonical form here")


def _in_order(keys: Mapping[str, Any]) -> list[str]:
    """Keys sort by UTF-16 code units, see rfc8785 3.2.3; where all are ASCII that is their own order."""
    if "".join(keys).isascii():
        return sorted(keys)
    return sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
