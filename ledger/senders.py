"""Who sends: people, a pair of monitors, and a shop; they send again what was not taken, and at times what was.

What each was told is written down: the number of every receipt in every yes.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import smtplib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage

from ledger.errors import LedgerError
from ledger.house import House

#: Of a hundred things sent, how many are sent again though they were taken, and of how many the answer is not read.
AGAIN, UNHEARD = 0.10, 0.03
#: Alerts of one post.
GROUP = 4
#: One alert in so many pages people, and escalates.
PAGING = 100
_PAUSE = 0.05
_LOST = (OSError, smtplib.SMTPException, http.client.HTTPException)
_KEPT = re.compile(r"kept as receipt (\d+)")


class NotTaken(Exception):
    """The desk said not now."""


@dataclass
class Told:
    """What the senders were told, together: receipts by number, and how often something was sent again."""

    receipts: set[int] = field(default_factory=set)
    sent: int = 0
    again: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def yes(self, receipt: int) -> None:
        """A receipt was promised."""
        with self._lock:
            self.receipts.add(receipt)

    def repeat(self) -> None:
        """Something goes again."""
        with self._lock:
            self.again += 1

    def done(self, items: int) -> None:
        """So many new things were taken."""
        with self._lock:
            self.sent += items


class Sender(threading.Thread, ABC):
    """Sends numbered things in order, each until it is taken. ``error`` says why it gave up."""

    #: Items of one sending; those of a second voice of the same things count nothing.
    items = 1

    def __init__(self, house: House, told: Told, numbers: Sequence[int], seed: int) -> None:
        super().__init__(daemon=True)
        self.house, self.told, self.numbers = house, told, numbers
        self.chance = random.Random(seed)
        self.patience = 120.0
        self.error: Exception | None = None

    def run(self) -> None:
        """Send all."""
        try:
            for number in self.numbers:
                self._until_taken(number)
                self.told.done(self.items)
        except Exception as error:  # noqa: BLE001 - told by the ledger's own thread
            self.error = error
        finally:
            self.hang_up()

    def _until_taken(self, number: int) -> None:
        taken, until = 0, time.monotonic() + self.patience
        wanted = 2 if self.chance.random() < AGAIN else 1
        while taken < wanted:
            try:
                self.told.yes(self.send(number, unheard=self.chance.random() < UNHEARD))
            except (NotTaken, *_LOST) as error:
                self.hang_up()
                self.told.repeat()
                if time.monotonic() > until:
                    raise LedgerError(f"{type(self).__name__} {number} was not taken: {error}") from error
                time.sleep(_PAUSE)
            else:
                taken += 1
        if wanted > 1:
            self.told.repeat()

    @abstractmethod
    def send(self, number: int, *, unheard: bool) -> int:
        """Send one; the number of its receipt. Raises `NotTaken` or what a connection raises."""

    def hang_up(self) -> None:
        """End the connection, if there is one."""


class People(Sender):
    """Each writes one mail; its Message-ID stays the same."""

    def __init__(self, house: House, told: Told, numbers: Sequence[int], seed: int) -> None:
        super().__init__(house, told, numbers, seed)
        self._client: smtplib.SMTP | None = None

    def send(self, number: int, *, unheard: bool) -> int:
        """Hand one mail in."""
        client = self._client = self._client or smtplib.SMTP("127.0.0.1", self.house.smtp, timeout=20)
        if not client.helo_resp and not client.ehlo_resp:
            client.ehlo()
        _wants(client.mail(f"p{number}@example.com"), 250)
        _wants(client.rcpt("support@example.com"), 250)
        _wants(client.docmd("DATA"), 354)
        client.send(mail_of(number) + b".\r\n")
        if unheard:
            raise NotTaken
        kept = _KEPT.search(_wants(client.getreply(), 250))
        if kept is None:
            raise LedgerError("a mail was taken without the number of its receipt")
        return int(kept[1])

    def hang_up(self) -> None:
        """Close without a word."""
        if self._client is not None:
            self._client.close()
            self._client = None


class Poster(Sender):
    """Posts JSON over one connection."""

    source = ""

    def __init__(self, house: House, told: Told, numbers: Sequence[int], seed: int) -> None:
        super().__init__(house, told, numbers, seed)
        self._client: http.client.HTTPConnection | None = None
        self._token = house.token(self.source)

    def send(self, number: int, *, unheard: bool) -> int:
        """Post one."""
        client = self._client = self._client or http.client.HTTPConnection("127.0.0.1", self.house.web, timeout=20)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        client.request("POST", f"/ingest/{self.source}", self.body(number), {**headers, **self.headers(number)})
        if unheard:
            raise NotTaken
        answer = client.getresponse()
        said = answer.read()
        if answer.status not in (200, 202):
            raise NotTaken(f"{answer.status} {said[:200]!r}")
        return int(json.loads(said)["id"])

    @abstractmethod
    def body(self, number: int) -> bytes:
        """What is posted."""

    def headers(self, number: int) -> dict[str, str]:  # noqa: ARG002 - a monitor says the same of all
        """What else is said."""
        return {}

    def hang_up(self) -> None:
        """Close."""
        if self._client is not None:
            with suppress(OSError):
                self._client.close()
            self._client = None


class Monitor(Poster):
    """One of a pair that posts the same groups of alerts; they have no ids of their own, but fingerprints."""

    source = "prometheus"
    items = GROUP
    begun = datetime.now(UTC).isoformat()

    def body(self, number: int) -> bytes:
        """A group of alerts."""
        return group_of(number, self.begun)


class SecondMonitor(Monitor):
    """The other one of the pair."""

    items = 0


class Shop(Poster):
    """Posts events, each with an id that stays the same."""

    source = "orders"

    def body(self, number: int) -> bytes:
        """One event."""
        return json.dumps({"title": f"order {number}", "dedup_key": f"o{number}", "severity": "info"}).encode()

    def headers(self, number: int) -> dict[str, str]:
        """The id of the post."""
        return {"Idempotency-Key": f"order-{number}"}


def titles_of(
    mails: Iterable[int], groups: Iterable[int], orders: Iterable[int]
) -> tuple[frozenset[str], frozenset[str]]:
    """The records that there must be, once each, and those of them that page people."""
    alerts = [number for group in groups for number in _members(group)]
    titles = {f"mail {number}" for number in mails}
    titles |= {f"alert {number}" for number in alerts}
    titles |= {f"order {number}" for number in orders}
    return frozenset(titles), frozenset(f"alert {number}" for number in alerts if number % PAGING == 0)


def mail_of(number: int) -> bytes:
    """A mail, always the same."""
    message = EmailMessage()
    message["From"] = f"Person {number} <p{number}@example.com>"
    message["To"] = "support@example.com"
    message["Subject"] = f"mail {number}"
    message["Message-ID"] = f"<ledger.{number}@mail.example.com>"
    message.set_content(f"It is odd, and that is number {number}.\n")
    return bytes(message).replace(b"\n", b"\r\n")


def group_of(number: int, begun: str) -> bytes:
    """A group of alerts."""
    alerts = [_alert(one, begun) for one in _members(number)]
    return json.dumps({"version": "4", "groupKey": "{}", "status": "firing", "alerts": alerts}).encode()


def _members(group: int) -> range:
    return range(group * GROUP, group * GROUP + GROUP)


def _alert(number: int, begun: str) -> dict[str, object]:
    pages = number % PAGING == 0
    more = {"severity": "critical", "env": "prod", "service": "checkout"} if pages else {"severity": "info"}
    return {
        "status": "firing", "labels": {"alertname": "Odd", "n": str(number), **more},
        "annotations": {"summary": f"alert {number}"}, "startsAt": begun, "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{number:016x}",
    }  # fmt: skip


def _wants(reply: tuple[int, bytes], code: int) -> str:
    """The text of a reply that says yes."""
    said = reply[1].decode("utf-8", "replace")
    if reply[0] != code:
        raise NotTaken(f"{reply[0]} {said}")
    return said


