"""What a notifier kind is: a module of `notifiers.kinds` whose ``open_relay`` makes a relay of the configured URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol
from urllib.parse import SplitResult

from notifiers.errors import NotifierError


class RelayUnreachable(NotifierError):
    """The relay did not take a connection, so nothing was handed over."""

    code: ClassVar[str] = "relay_unreachable"
    permanent: ClassVar[bool] = False


class Outcome(StrEnum):
    """What the relay said of one mail. ``delivered`` means that it took the mail over, not that anybody read it."""

    DELIVERED = "delivered"
    DELAYED = "delayed"
    FAILED = "failed"


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Parcel:
    """One mail for one recipient, both as they go over the wire.

    ``ours`` says at any moment whether it is still ours to hand over: a process that stood still may wake up after
    another one took its work (fault 103). ``late`` is a page that should be with somebody by now.
    """

    recipient: str
    body: bytes
    ours: Callable[[], bool] = field(default=_always, compare=False, repr=False)
    late: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Handed:
    """The result of one attempt: the relay's code (None where it was silent) and its words, cleaned, at most 4 KiB."""

    outcome: Outcome
    code: str | None
    text: str


class Relay(Protocol):
    """Where mail is handed over."""

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        """A result for each parcel in their order; None where none was attempted: time, connection or lease ended.

        Raises `RelayUnreachable` where no parcel could be attempted at all.
        """

    def wind_down(self) -> None:
        """Begin no further parcel, for good: the process stops, and only what is on its way is finished."""


class Kind(Protocol):
    """A module of `notifiers.kinds`."""

    def open_relay(self, url: SplitResult, *, sender: str, domain: str) -> Relay:
        """The relay at ``url``. ``sender`` is the envelope's, ``domain`` what we call ourselves. Raises `BadRelay`."""
