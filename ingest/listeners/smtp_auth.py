"""The two ways to sign in that mail clients know: PLAIN and LOGIN (see rfc4954, rfc4616)."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable

Push = Callable[[str], Awaitable[None]]
Line = Callable[[], Awaitable[bytes]]


class Rejected(Exception):
    """The exchange failed; the text is the reply."""


async def ask_credentials(argument: str, *, push: Push, line: Line) -> tuple[str, str]:
    """Name and password, from ``AUTH``'s ``argument`` and what the client answers to challenges. Raises `Rejected`."""
    mechanism, _, initial = argument.partition(" ")
    first = initial.strip().encode("utf-8", "replace")
    if mechanism.upper() == "PLAIN":
        parts = _decode(first or await _challenge("", push, line)).split("\0")
        if len(parts) != 3:  # noqa: PLR2004 - whom to act for, name, password
            raise Rejected("501 5.5.2 expected a name and a password")
        return parts[1], parts[2]
    if mechanism.upper() == "LOGIN":
        name = _decode(first or await _challenge("Username:", push, line))
        return name, _decode(await _challenge("Password:", push, line))
    raise Rejected("504 5.5.4 known are PLAIN and LOGIN")


async def _challenge(text: str, push: Push, line: Line) -> bytes:
    await push(f"334 {b64encode(text.encode()).decode()}")
    answer = await line()
    if answer == b"*":
        raise Rejected("501 5.7.0 given up")
    return answer


def _decode(text: bytes) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (NotBase64, UnicodeDecodeError):
        raise Rejected("501 5.5.2 not base64 of UTF-8") from None
