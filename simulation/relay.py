"""A relay that does what the story says, and remembers every mail that it took."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from notifiers.spec import Handed, Outcome, Parcel, RelayUnreachable
from simulation.events import Trouble

_MARK = b"\r\nMessage-ID: <"


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that the relay took."""

    recipient: str
    message_id: str
    body: bytes


@dataclass
class ScriptedRelay:
    """Implements `notifiers.spec.Relay`. ``differing`` are Message-IDs that came with two bodies or recipients."""

    trouble: Trouble | None = None
    taken: list[Taken] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    differing: set[str] = field(default_factory=set)
    seen: dict[str, bytes] = field(default_factory=dict)
    last_to: dict[str, Taken] = field(default_factory=dict)

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        """What the present trouble makes of each parcel."""
        if self.trouble is Trouble.REFUSED:
            raise RelayUnreachable("nobody listens there")
        return [self._hand(parcel) for parcel in parcels]

    def wind_down(self) -> None:
        """Nothing is ever on its way."""

    def _hand(self, parcel: Parcel) -> Handed:
        if self.trouble is Trouble.LATER:
            return Handed(Outcome.DELAYED, "451", "try again")
        if self.trouble is Trouble.NEVER:
            return Handed(Outcome.FAILED, "550", "no")
        self._take(parcel)
        if self.trouble is Trouble.DROPPED:
            return Handed(Outcome.DELAYED, None, "the connection was lost")
        return Handed(Outcome.DELIVERED, "250", "taken")

    def _take(self, parcel: Parcel) -> None:
        start = parcel.body.index(_MARK) + len(_MARK)
        message_id = parcel.body[start : parcel.body.index(b">", start)].decode()
        digest = hashlib.sha256(parcel.recipient.encode() + b"\n" + parcel.body).digest()
        if self.seen.setdefault(message_id, digest) != digest:
            self.differing.add(message_id)
        (self.dropped if self.trouble is Trouble.DROPPED else self.answered)[message_id] += 1
        taken = Taken(parcel.recipient, message_id, parcel.body)
        self.taken.append(taken)
        self.last_to[parcel.recipient] = taken
