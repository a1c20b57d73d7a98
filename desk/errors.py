"""Why the desk says no: one base, a stable code, a sentence for people."""

from __future__ import annotations


class DeskError(Exception):
    """The desk refused this."""

    code = "desk.refused"
    permanent = True

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or type(self).__doc__)


class NotAllowed(DeskError):
    """None of your roles may do this."""

    code = "desk.not_allowed"


class NoSuchMove(DeskError):
    """The record cannot go there from where it is."""

    code = "desk.no_such_move"


class Missing(DeskError):
    """Something has to be filled in first."""

    code = "desk.missing"


class Invalid(DeskError):
    """A value is not one of those expected."""

    code = "desk.invalid"
