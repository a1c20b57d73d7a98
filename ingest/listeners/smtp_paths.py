"""The arguments of MAIL and RCPT: a path and parameters, read strictly (see rfc5321 4.1.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

_PATH = re.compile(r"(?:<([^<>]*)>|([^<>\s]+))(?:\s+(\S.*))?")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_LONGEST_PATH = 254  # characters; see rfc5321 4.5.3.1.3


class PathArgument(NamedTuple):
    """A path without its brackets, and the parameters after it (a bare one has the value None)."""

    path: str
    parameters: dict[str, str | None]


def read_path(argument: str, keyword: str) -> PathArgument | None:
    """What stands after MAIL (``keyword`` FROM) or RCPT (TO); None where it is no path.

    >>> read_path("FROM:<ana@example.com> SIZE=10 smtputf8", "FROM")
    PathArgument(path='ana@example.com', parameters={'SIZE': '10', 'SMTPUTF8': None})
    >>> read_path("TO ana", "TO") is None
    True
    """
    name, colon, rest = argument.partition(":")
    found = _PATH.fullmatch(rest.strip())
    if not colon or name.strip().upper() != keyword or found is None:
        return None
    path = found[1] if found[1] is not None else found[2]
    if len(path) > _LONGEST_PATH or _CONTROL.search(path):
        return None
    parameters: dict[str, str | None] = {}
    for word in (found[3] or "").split():
        key, equals, value = word.partition("=")
        parameters[key.upper()] = value if equals else None
    return PathArgument(path, parameters)


def fault_of_mail(parameters: dict[str, str | None], max_size: int) -> str | None:
    """The reply to MAIL parameters that can't be obeyed; None where all can.

    >>> fault_of_mail({"SIZE": "11"}, 10)
    '552 5.3.4 message too big, at most 10 bytes'
    """
    for name, value in parameters.items():
        if name == "SIZE":
            if value is None or not (value.isascii() and value.isdigit() and len(value) <= 20):  # noqa: PLR2004 - rfc1870 3
                return "501 5.5.4 SIZE needs a number of bytes"
            if int(value) > max_size:
                return f"552 5.3.4 message too big, at most {max_size} bytes"
        elif name == "BODY":
            if (value or "").upper() not in ("7BIT", "8BITMIME"):
                return "501 5.5.4 BODY is 7BIT or 8BITMIME"
        elif name == "SMTPUTF8" and value is None:
            continue
        elif name != "AUTH":  # whoever a sender says it speaks for; we never relay, so nothing hangs on it
            return "555 5.5.4 unknown parameter of MAIL"
    return None
