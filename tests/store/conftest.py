"""A desk at work on a real database, its turns driven round by round in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from daemon.acts import Acts
from daemon.desks import make_desk
from daemon.ids import Ids
from daemon.inbox import Inbox, Round
from daemon.policy import read_policy
from daemon.stages import Stages
from daemon.timers import Fired, timers_round
from desk.context import Desk
from desk.receive import Receipt, mail_receipt_key
from incidents.signal import Mail
from ingest.formats import mail as mail_format
from ingest.parser import ParseFailed
from store.audit import make_checkpoint
from store.engine import Store
from store.receipts import keep_receipts, pack

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class HereParser:
    """Parses mails in this process; ``fails`` are subjects that it gives up on."""

    restarts = 0

    def __init__(self) -> None:
        self.fails: set[bytes] = set()

    def parse(self, mails: Sequence[tuple[bytes, Mapping[str, Any]]]) -> list[Mail | ParseFailed]:
        return [
            ParseFailed("killed") if any(fail in body for fail in self.fails) else mail_format.parse(body, envelope)
            for body, envelope in mails
        ]


@dataclass
class Running:
    """A store, the lean desk, and one worker."""

    store: Store
    desk: Desk
    now: datetime = NOON
    owner: str = "worker.1"
    parser: HereParser = field(default_factory=HereParser)

    def __post_init__(self) -> None:
        self.ids = Ids(self.store)
        self.inbox = Inbox(self.store, ids=self.ids, parser=self.parser, owner=self.owner, stages=Stages())
        self.acts = Acts(self.store, lambda: self.desk)

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)

    def post(self, body: bytes, *, source: str = "prometheus", format: str = "alertmanager") -> None:  # noqa: A002 - the column's name
        self.keep(Receipt(source, format, self.now, {"type": "application/json", "peer": "x"}, body, None))

    def mail(self, body: bytes, *to: str) -> None:
        """Keep a mail as the SMTP door would."""
        addresses = to or ("support@example.com",)
        envelope = {"from": "ann@example.com", "to": list(addresses), "mailbox": "support", "peer": "x"}
        normal = [address.partition("+")[0] + "@example.com" if "+" in address else address for address in addresses]
        self.keep(Receipt("smtp", "mail", self.now, envelope, body, mail_receipt_key(body, normal)))

    def keep(self, receipt: Receipt) -> None:
        with self.store.writing() as connection:
            keep_receipts(connection, [pack(receipt)])

    def work(self) -> list[Round]:
        """Rounds until nothing waits."""
        rounds = []
        while (done := self.inbox.round(self.desk, self.now)).busy:
            rounds.append(done)
        return rounds

    def fire(self) -> Fired:
        return timers_round(self.store, self.desk, ids=self.ids, owner=self.owner, now=self.now)

    def rows(self, query: str, *values: Any) -> list[Any]:
        with self.store.reading() as connection:
            return list(connection.exec_driver_sql(query, values).all())

    def records(self) -> list[Any]:
        """Incidents by number."""
        return self.rows("SELECT * FROM incidents ORDER BY number")


@pytest.fixture
def running(store: Store) -> Running:
    loaded = read_policy(None, framework="lean", zone=ZoneInfo("Europe/Berlin"))
    assert loaded.policy is not None
    desk = make_desk(
        store, loaded.policy, domain="desk.example.com", addresses={"support@example.com": "support"},
        groups={"prometheus": "prometheus", "pager": "pager"},
    )  # fmt: skip
    return Running(store, desk)


@pytest.fixture
def again(running: Running) -> Callable[[str], Running]:
    """Another worker on the same database."""

    def make(owner: str) -> Running:
        return Running(running.store, running.desk, running.now, owner, running.parser)

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def target_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database beside the one under test, with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/other/triaged.db"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


@pytest.fixture
def lived(running: Running) -> Running:
    """A desk in the middle of its day: alerts, a mail, things told, things that wait."""
    alerts = [
        {
            "status": "firing", "labels": {"alertname": name, "severity": "critical"}, "annotations": {},
            "startsAt": "2026-11-23T11:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": name * 8,
        }
        for name in ("aa", "bb")
    ]  # fmt: skip
    body = json.dumps({"version": "4", "groupKey": "{}", "alerts": alerts}).encode()
    running.post(body)
    running.post(body)
    running.mail(b"From: ann@example.com\r\nSubject: dark\r\nMessage-ID: <1@x>\r\n\r\nIt is d\xc3\xb6rk.\r\n")
    running.work()
    running.wait(minutes=20)
    running.fire()
    running.post(body)  # waits for its turn
    make_checkpoint(running.store, running.now)
    return running
