"""The working set of one turn: what it may touch, loaded in bulk, and what it decided, saved in one commit.

Decisions are made one after another against it, so that two signals of one batch fold together. It does nothing
but remember: what a record becomes is decided by the functions that make a `Change`, and taken in by `desk.apply`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, Protocol

from desk.change import Link, Participant
from desk.context import Desk
from incidents.assessment import PRIORITIES, Assessment
from incidents.budget import slot_of, spent
from incidents.effects import Outgoing
from incidents.episode import FoldKey
from incidents.incident import Incident
from incidents.person import Person
from incidents.signal import Disposition
from incidents.targets import Target
from incidents.timeline import FIRST_PREV, Entry, Sealed, seal


class Ids(Protocol):
    """Ids reserved in blocks before the turn, so that hashes and tokens can be made before the lock."""

    def record(self) -> int:
        """The id of a new record."""
        ...

    def row(self) -> int:
        """The id of any other new row."""
        ...


class Repeat(NamedTuple):
    """How often a key was said again in this turn, by which newest receipt, and when last."""

    times: int
    receipt: int
    last_seen_at: datetime


class SignalRow(NamedTuple):
    """A signal as it is stored."""

    id: int
    receipt: int
    source: str
    key: bytes | None
    received_at: datetime
    title: str
    status: str
    disposition: Disposition
    incident: int | None
    repeats: int | None = None
    reason: str | None = None


class BudgetKey(NamedTuple):
    """One line of the budgets: whose, of what, in which slot."""

    address: str
    kind: str
    slot: datetime


class Working:
    """Loaded values first, then what this turn made of them."""

    def __init__(self, desk: Desk, ids: Ids, now: datetime) -> None:
        self.desk, self.ids, self.now = desk, ids, now
        # loaded
        self.incidents: dict[int, Incident] = {}
        self.heads: dict[int, tuple[int, bytes]] = {}
        self.keys: dict[str, FoldKey] = {}
        self.numbers: dict[int, int] = {}
        self.merged_into: dict[int, int] = {}
        self.people: dict[int, Person] = {}
        self.by_address: dict[str, Person] = {}
        self.participants: dict[int, set[tuple[int, str, str]]] = defaultdict(set)
        self.targets: dict[int, list[Target]] = defaultdict(list)
        self.assessed: dict[int, Assessment] = {}
        self.known_signals: dict[bytes, tuple[int, int | None]] = {}
        self.slots: dict[tuple[str, str], dict[datetime, int]] = defaultdict(dict)
        self.budgeted: set[str] = set()
        self.open_notices: dict[str, int] = {}
        # made
        self.opened: dict[int, Incident] = {}
        self.changed: dict[int, int] = {}
        self.new_keys: dict[str, FoldKey] = {}
        self.changed_keys: dict[str, int] = {}
        self.moved_keys: list[tuple[int, int]] = []
        self.repeats: dict[str, Repeat] = {}
        self.new_people: list[Person] = []
        self.new_participants: list[Participant] = []
        self.signals: list[SignalRow] = []
        self.assessments: list[tuple[int, int, Assessment]] = []
        self.entries: list[Sealed] = []
        self.new_targets: dict[int, Target] = {}
        self.changed_targets: dict[int, Target] = {}
        self.outgoing: dict[int, Outgoing] = {}
        self.notice_members: dict[int, int] = defaultdict(int)
        self.links: list[Link] = []
        self.spending: dict[BudgetKey, int] = defaultdict(int)
        self.most: dict[BudgetKey, int] = {}
        self._spent: dict[tuple[str, str, datetime], tuple[int, int]] = {}
        self.suppressed: dict[tuple[str, int], str] = {}
        self.bounced: list[tuple[int, int, str, str]] = []
        self.counts: dict[int, dict[str, int]] = {}

    # ------------------------------------------------------------------ keys and signals

    def key(self, name: str) -> FoldKey | None:
        """A fold key as it stands in this turn."""
        return self.new_keys.get(name) or self.keys.get(name)

    def put_key(self, key: FoldKey) -> None:
        """Remember a new key, or the new value of a loaded one."""
        if key.key in self.keys:
            self.changed_keys.setdefault(key.key, self.keys[key.key].version)
            self.keys[key.key] = key
        else:
            self.new_keys[key.key] = key

    def repeat(self, known: FoldKey, *, receipt: int, at: datetime) -> None:
        """Count one more saying of what is known: the fast lane, unless this turn changes the key anyway."""
        if known.key in self.new_keys or known.key in self.changed_keys:
            newest = replace(known, signals=known.signals + 1, last_seen_at=max(at, known.last_seen_at))
            (self.new_keys if known.key in self.new_keys else self.keys)[known.key] = newest
            return
        before = self.repeats.get(known.key)
        if before is None:
            self.repeats[known.key] = Repeat(1, receipt, at)
        else:
            self.repeats[known.key] = Repeat(
                before.times + 1, max(before.receipt, receipt), max(before.last_seen_at, at)
            )

    def settled(self, known: FoldKey) -> FoldKey:
        """A key about to change, with what this turn counted for it in the fast lane."""
        said = self.repeats.pop(known.key, None)
        if said is None:
            return known
        counted = replace(
            known, signals=known.signals + said.times, receipt=max(known.receipt, said.receipt),
            last_seen_at=max(known.last_seen_at, said.last_seen_at),
        )  # fmt: skip
        self.put_key(counted)
        return counted

    def count(self, receipt: int, disposition: Disposition) -> None:
        """Count an item of a receipt under what became of it."""
        counts = self.counts.setdefault(receipt, {})
        counts[disposition] = counts.get(disposition, 0) + 1

    def add_signal(self, signal: SignalRow) -> None:
        """Keep a signal, counted under its receipt."""
        self.signals.append(signal)
        self.count(signal.receipt, signal.disposition)
        if signal.key is not None:
            self.known_signals[signal.key] = (signal.id, signal.incident)

    def spent(self, address: str, kind: str) -> tuple[int, int]:
        """How many in the last hour, and in the last day, this turn's among them; slots are added up once a turn."""
        known = self._spent.get((address, kind, self.now))
        if known is None:
            known = self._spent[address, kind, self.now] = spent(self.slots[address, kind], self.now)
        return known

    def spend(self, address: str, kind: str, *, left: int) -> None:
        """Count one more against a budget that had so many ``left``; with others' counts it must not be exceeded."""
        hour, day = self.spent(address, kind)
        self._spent[address, kind, self.now] = hour + 1, day + 1
        key, by_slot = BudgetKey(address, kind, slot_of(self.now)), self.slots[address, kind]
        before = by_slot.get(key.slot, 0)
        by_slot[key.slot] = before + 1
        self.spending[key] += 1
        self.most[key] = before + left

    # ------------------------------------------------------------------ people

    def person_at(self, address: str, name: str) -> Person:
        """The person at an address; an unknown one becomes a person without rights."""
        person = self.by_address.get(address)
        if person is None:
            person = Person(self.ids.record(), name or address, address=address)
            self.by_address[address] = self.people[person.id] = person
            self.new_people.append(person)
        return person

    def takes_part(self, subject: int, person: int) -> bool:
        """Whether a person takes part in a record."""
        return any(who == person for who, _, _ in self.participants[subject])

    # ------------------------------------------------------------------ records

    def incident(self, record: int) -> Incident | None:
        """A record as it stands in this turn; a merged one is the record that it went into."""
        for _ in range(8):  # a chain of merges; longer ones do not occur, and a loop must end
            if record not in self.merged_into:
                break
            record = self.merged_into[record]
        return self.incidents.get(record)

    def open(self, incident: Incident) -> None:
        """Take in a new record."""
        self.incidents[incident.id] = self.opened[incident.id] = incident

    def write(self, subject: int, entry: Entry) -> int:
        """Put an entry at the end of a record's chain; gives its seq."""
        seq, prev = self.heads.get(subject, (0, FIRST_PREV))
        sealed = seal(
            entry, subject=subject, seq=seq + 1, prev=prev, recorded_at=self.now, random_bytes=self.desk.random_bytes
        )
        self.entries.append(sealed)
        self.heads[subject] = (sealed.seq, sealed.hash)
        return sealed.seq

    def last_seq(self, subject: int) -> int:
        """The seq of a record's newest entry, 0 when it has none."""
        return self.heads.get(subject, (0, FIRST_PREV))[0]

    def join(self, participant: Participant) -> None:
        """Let somebody take part in a record, once."""
        subject, person, team, role, _ = participant
        if (person, team, role) not in self.participants[subject]:
            self.participants[subject].add((person, team, role))
            self.new_participants.append(participant)

    # ------------------------------------------------------------------ targets

    def live_targets(self, subject: int, prefix: str = "") -> list[Target]:
        """The targets of a record that still bind and whose name begins so."""
        return [target for target in self.targets[subject] if target.name.startswith(prefix) and target.live]

    def add_target(self, target: Target) -> None:
        """Take in a new target."""
        self.targets[target.subject].append(target)
        self.new_targets[target.id] = target

    def set_target(self, target: Target) -> None:
        """Put a target in the place of the one with its id."""
        held = self.targets[target.subject]
        held[[known.id for known in held].index(target.id)] = target
        (self.new_targets if target.id in self.new_targets else self.changed_targets)[target.id] = target


def rank(priority: str) -> int:
    """A priority as a number, 1 first."""
    return PRIORITIES.index(priority) + 1
