"""What should be: an account of everything that a door accepted, kept apart from the product and much simpler.

The state of a monitor's key follows rules 3 and 4 of docs/sources.md, B: the newest episode counts, and it is over
once any word said so. A sender without starts is heard in the order of its receipts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from simulation.events import MailSent, Nature, Posted


class Fate(StrEnum):
    """What has to become of an accepted receipt."""

    NEW = "new"  # opens a record
    ANSWER = "answer"  # joins a record, or opens one linked with it
    COPY = "copy"  # a duplicate
    REPORT = "report"  # folded or unmatched
    LOOP = "loop"
    POISON = "poison"  # quarantine
    ALERTS = "alerts"
    ANYTHING = "anything"  # it overtook what it belongs to on the way


@dataclass(frozen=True, slots=True)
class Accepted:
    """One receipt. ``record`` is the one that its sender answered; ``by_machine`` what gets no answer."""

    fate: Fate
    items: int
    event: MailSent | Posted | None
    record: int | None = None
    by_machine: bool = False


@dataclass
class Heard:
    """A monitor's key: the newest episode in seconds, and whether it fires."""

    source: str
    key: str
    episode: int
    firing: bool
    started: bool  # whether the thing ever fired, so that a record must be there


@dataclass
class Model:
    """The account."""

    receipts: dict[int, Accepted] = field(default_factory=dict)
    keys: dict[str, Heard] = field(default_factory=dict)
    mails: dict[str, int] = field(default_factory=dict)  # the first receipt of a mail, by its name
    answered: set[str] = field(default_factory=set)  # the names of mails that somebody answered
    machines: set[str] = field(default_factory=set)

    def accept(self, receipt: int, what: Accepted) -> None:
        """Note a receipt that was committed."""
        self.receipts[receipt] = what
        event = what.event
        if isinstance(event, MailSent):
            self.mails.setdefault(event.name, receipt)
            if event.answers is not None:
                self.answered.add(event.answers)
            if event.nature is Nature.MACHINE:
                self.machines.add(event.sender)
        elif isinstance(event, Posted):
            for one in event.said:
                self._hear(event.source, one.key, one.episode, firing=one.firing)

    def _hear(self, source: str, key: str, episode: int, *, firing: bool) -> None:
        name = f"alert:{source}:{key}"
        known = self.keys.get(name)
        if known is None:
            self.keys[name] = Heard(source, key, episode, firing, firing)
        elif source == "pager":
            known.firing = firing
            known.started = known.started or firing
        elif episode > known.episode:
            known.episode, known.firing = episode, firing
            known.started = known.started or firing
        elif episode == known.episode:
            known.firing = known.firing and firing
            known.started = known.started or firing
