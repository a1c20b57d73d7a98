"""What ends a run before its verdict."""

from __future__ import annotations


class LedgerError(Exception):
    """The run can't go on."""


class NotHere(LedgerError):
    """This machine can't do what the run needs."""


class OutOfTime(LedgerError):
    """Something that must happen did not, within its time."""
