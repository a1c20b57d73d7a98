"""What happens in a story. Each event is a value that stands alone: without some of them the others still make sense.

``at`` is in seconds since the story began, by the clock on the wall of the street and not by the desk's, which jumps.
Things are named by what began them (a mail's name, a monitor's key), never by what the desk made of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Nature(StrEnum):
    """Who or what wrote a mail."""

    PERSON = "person"
    MACHINE = "machine"  # says that it is one
    NULL = "null"  # an empty envelope sender
    OURS = "ours"  # a mail of the desk's own that comes back
    POISON = "poison"  # kills every parser that reads it


class Way(StrEnum):
    """What an answer finds its way back by."""

    ADDRESS = "address"  # the reply address of the desk's last mail
    REFERENCE = "reference"  # the Message-ID of the desk's last mail
    FIRST = "first"  # the Message-ID of the first mail
    SUBJECT = "subject"  # the tag in the subject


class Trouble(StrEnum):
    """What is wrong with the relay."""

    REFUSED = "refused"  # it takes no connection
    LATER = "later"  # 451
    NEVER = "never"  # 550
    DROPPED = "dropped"  # takes the mail and goes away before it says so


class Point(StrEnum):
    """Where a process dies: around one write of the store."""

    BEFORE = "before"
    INSIDE = "inside"  # all is written and nothing committed
    AFTER = "after"  # committed, and nobody told
    UNKNOWN = "unknown"  # no death: committed, and the connection lost before the answer
    AWAY = "away"  # no death: the database is not to be reached


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at an instant."""

    at: int


@dataclass(frozen=True, slots=True)
class MailSent(Event):
    """A mail. ``answers`` names the mail that began the thread; ``copies`` people are in Cc."""

    name: str
    sender: str
    to: str
    subject: str
    text: str = "Please look at it.\n"
    nature: Nature = Nature.PERSON
    answers: str | None = None
    way: Way = Way.ADDRESS
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailRepeated(Event):
    """The same bytes again, to an address of the desk."""

    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Bounced(Event):
    """A delivery report on the desk's last mail to somebody."""

    recipient: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What a monitor says of one thing. ``episode`` is its start in seconds; ``words`` number how it is described."""

    key: str
    firing: bool
    episode: int
    severity: str = "warning"
    words: int = 0


@dataclass(frozen=True, slots=True)
class Posted(Event):
    """A monitor's POST. ``pager`` says so in PagerDuty's dialect, one thing at a time and without starts."""

    source: str
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Acted(Event):
    """An agent does something to the record of a mail (``mail:name``) or of a monitor's key (``alert:source:key``)."""

    who: str
    verb: str
    thing: str
    other: str = ""


@dataclass(frozen=True, slots=True)
class Interrupted(Event):
    """Somebody is faster: ``acted`` is done just before the ``write``-th write of the store from now on."""

    write: int
    acted: Acted


@dataclass(frozen=True, slots=True)
class Left(Event):
    """Somebody goes on holiday, and a machine answers every mail to them. ``marked`` machines say that they are one."""

    address: str
    until: int
    marked: bool


@dataclass(frozen=True, slots=True)
class PolicyChanged(Event):
    """The policy is read again."""

    variant: str


@dataclass(frozen=True, slots=True)
class RelayFailed(Event):
    """The relay has trouble."""

    trouble: Trouble
    until: int


@dataclass(frozen=True, slots=True)
class ClockJumped(Event):
    """The desk's clock is set."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Stopped(Event):
    """The host is down: no door answers, nothing fires."""

    until: int


@dataclass(frozen=True, slots=True)
class Struck(Event):
    """The ``write``-th write of the store from now on meets ``point``, whoever makes it."""

    write: int
    point: Point
