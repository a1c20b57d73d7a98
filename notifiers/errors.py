"""What can go wrong on the way out, before a relay has said anything."""

from __future__ import annotations

from typing import ClassVar


class NotifierError(Exception):
    """The notification could not be sent."""

    code: ClassVar[str] = "notifier_error"
    permanent: ClassVar[bool] = True

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__ or "")


class Unaddressable(NotifierError):
    """The recipient's address has characters that mail systems do not take; give the person a plain address."""

    code: ClassVar[str] = "unaddressable"


class TooLong(NotifierError):
    """The text came out longer than a mail of the desk may be; the record holds all of it."""

    code: ClassVar[str] = "too_long"


class BadRelay(NotifierError):
    """The relay's address cannot be read."""

    code: ClassVar[str] = "bad_relay"
