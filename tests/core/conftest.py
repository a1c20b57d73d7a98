"""A desk in memory: the lean policy, ids that count, salts that do not vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from desk.arrival import Arrival
from desk.context import Desk
from desk.take import take
from desk.working import Working
from incidents.incident import Incident
from incidents.person import Author, Person
from incidents.signal import Alert, AlertStatus, Item, Mail, Mailbox
from kit.tokens import Keyring
from rules.load import Loaded, PolicyFile, load_policy
from rules.policy import Policy

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PACK = Path(__file__).parents[2] / "rules" / "packs" / "lean"


@dataclass
class Counting:
    """Ids that count from 1."""

    numbers: Any = field(default_factory=lambda: count(1))

    def record(self) -> int:
        return int(next(self.numbers))

    def row(self) -> int:
        return int(next(self.numbers))


@dataclass
class Table:
    """A desk at work in one turn: lay items on it, look at what became of them."""

    working: Working
    receipts: Any = field(default_factory=lambda: count(1))

    def lay(
        self, *items: Item, source: str = "prometheus", at: datetime = NOON, key: bytes | None = None,
        mailbox: str = "support",
    ) -> int:  # fmt: skip
        """One receipt with these items; its id."""
        number = int(next(self.receipts))
        envelope = {"mailbox": mailbox, "to": ["support@example.com"], "from": "ann@example.com"}
        take(self.working, [Arrival(number, source, at, items, envelope, key)])
        return number

    def records(self) -> list[Incident]:
        return sorted(self.working.incidents.values(), key=lambda one: one.id)

    def only(self) -> Incident:
        (record,) = self.records()
        return record

    def dispositions(self) -> list[str]:
        return [str(signal.disposition) for signal in self.working.signals]

    def told(self, kind: str) -> list[str]:
        return [one.recipient for one in self.working.outgoing.values() if one.kind == kind and one.state == "waiting"]

    def entries(self, record: int) -> list[str]:
        return [entry.kind for entry in self.working.entries if entry.subject == record]


@pytest.fixture(scope="session")
def policy() -> Policy:
    files = {path.name: PolicyFile(path.name, path.read_text()) for path in PACK.glob("*.yml")}
    loaded = load_policy(files, framework="lean", zone=ZoneInfo("Europe/Berlin"))
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


@pytest.fixture(scope="session")
def load_with() -> Callable[[Mapping[str, str]], Loaded]:
    """Loads the lean pack with other texts for some of its files."""
    pack = {path.name: path.read_text() for path in PACK.glob("*.yml")}

    def load(texts: Mapping[str, str]) -> Loaded:
        files = {name: PolicyFile(name, text) for name, text in {**pack, **texts}.items()}
        return load_policy(files, framework="lean", zone=ZoneInfo("Europe/Berlin"))

    return load


@pytest.fixture
def make_desk(policy: Policy) -> Callable[..., Desk]:
    """A desk by a policy; the lean one when none is given."""

    def make(policy: Policy = policy) -> Desk:
        people = count(9001)
        agents = {
            one.handle: Person(next(people), one.name, one.handle, one.mail.lower()) for one in policy.agents.values()
        }
        machine = Author(9000, "the desk", frozenset({"machine"}), human=False)
        return Desk(
            policy=policy, instance="abcdefgh", domain="desk.example.com", keyring=Keyring({1: b"k" * 32}, 1),
            random_bytes=lambda size: b"s" * size, machine=machine, sources={}, agents=agents,
            team_people={
                one.mail: Person(next(people), one.name, address=one.mail) for one in policy.teams.values() if one.mail
            },
            addresses={"support@example.com": "support"}, groups={},
        )  # fmt: skip

    return make


@pytest.fixture
def table(make_desk: Callable[..., Desk]) -> Table:
    return Table(Working(make_desk(), Counting(), NOON))


@pytest.fixture
def alert() -> Callable[..., Alert]:
    """An alert by minutes after noon."""

    def make(
        status: str = "firing", *, start: int | None = 0, key: str = "k", title: str = "DiskFull on web1",
        labels: Mapping[str, str] | None = None, hint: str | None = None, reopens: bool = True,
    ) -> Alert:  # fmt: skip
        starts_at = None if start is None else NOON + timedelta(minutes=start)
        return Alert(
            AlertStatus(status), key, title, severity_hint=hint, labels=labels or {}, starts_at=starts_at,
            reopens=reopens,
        )  # fmt: skip

    return make


@pytest.fixture
def mail() -> Callable[..., Mail]:
    """A mail from Ann to the desk."""

    def make(
        subject: str = "Printer prints blank pages", *, sender: str = "ann@example.com", **more: Any
    ) -> Mail:
        more.setdefault("recipients", ("support@example.com",))
        more.setdefault("text", "Nothing comes out.")
        return Mail(Mailbox(sender, "Ann Example"), subject=subject, **more)

    return make
