"""Mail addresses as the desk compares them: one normal form, strict where a decision hangs on it."""

from __future__ import annotations

import re
from typing import NamedTuple

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-\u0080-\uffff]{1,64}")
_LABEL = r"[A-Za-z0-9\u0080-\uffff](?:[A-Za-z0-9\-\u0080-\uffff]{0,61}[A-Za-z0-9\u0080-\uffff])?"
_DOMAIN = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


class Address(NamedTuple):
    """A parsed address in normal form: lower case, without its plus part, which stands apart."""

    normal: str
    plus: str | None


def parse_address(text: str) -> Address | None:
    """The address that ``text`` is, else None: no routes, quotes, comments or literals.

    Local parts are compared without case, as every desk in the field does, though the RFC leaves it to the host.

    >>> parse_address("Support+abc@Example.com")
    Address(normal='support@example.com', plus='abc')
    >>> parse_address("x%evil@our.example.com@example.org") is None
    True
    """
    local, at, domain = text.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain) or ".." in local + domain:
        return None
    if local.startswith(".") or local.endswith("."):
        return None
    bare, plus, tag = local.lower().partition("+")
    domain = domain.lower().rstrip(".")
    if not bare:
        return Address(f"{local.lower()}@{domain}", None)
    return Address(f"{bare}@{domain}", tag if plus else None)


def normal_address(text: str) -> str | None:
    """A person's address in normal form, its plus part kept: it is part of who they are.

    >>> normal_address("Ann+Home@Example.com")
    'ann+home@example.com'
    """
    parsed = parse_address(text)
    if parsed is None:
        return None
    if parsed.plus is None:
        return parsed.normal
    local, _, domain = parsed.normal.partition("@")
    return f"{local}+{parsed.plus}@{domain}"
