"""Made-up traffic, the same for the same seed: alerts of many monitors, mails of all kinds, each numbered.

Whatever is sent is prepared as bytes with places for numbers, so that numbering one costs the client next to nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

ALERT_NAMES = ("DiskAlmostFull", "HostDown", "SlowAnswers", "ManyErrors", "QueueTooLong", "CertificateEnds", "NoBackup")
ALERT_SERVICES = ("shop", "mail", "vpn", "payroll", "crm", "search", "files", "directory")
SEVERITIES = ("critical", "warning", "warning", "info")
_VARIANTS = 40
_NUMBER = "4200000042"  # stands in a template where a number will be
_PRINT = "00000000deadbeef"  # stands where a fingerprint will be
_SPREAD = 0x9E3779B97F4A7C15  # fingerprints come in no order, as hashes do


@dataclass(frozen=True, slots=True)
class Posts:
    """Posts of ``batch`` alerts each: `make` gives the body of the post that begins with an alert's number."""

    batch: int
    templates: Sequence[bytes]

    def make(self, first: int) -> bytes:
        """The body with alerts ``first`` and following."""
        template = self.templates[first // self.batch % len(self.templates)]
        numbers = [value for number in range(first, first + self.batch) for value in (number, number, _print(number))]
        return template % tuple(numbers)


def webhook_posts(batch: int, seed: int = 1) -> Posts:
    """What Alertmanager posts to the desk."""
    return Posts(batch, [_template(_webhook(alerts)) for alerts in _variants(batch, seed)])


def alertmanager_posts(batch: int, seed: int = 1) -> Posts:
    """The same alerts, as Prometheus posts them to Alertmanager; the fingerprint is one more label."""
    made = []
    for alerts in _variants(batch, seed):
        sent = [
            {
                "labels": {**alert["labels"], "print": alert["fingerprint"]}, "annotations": alert["annotations"],
                "startsAt": alert["startsAt"], "generatorURL": alert["generatorURL"],
            }
            for alert in alerts
        ]  # fmt: skip
        made.append(_template(sent))
    return Posts(batch, made)


def _variants(batch: int, seed: int) -> list[list[dict[str, Any]]]:
    drawn = random.Random(seed)
    start = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [[_alert(drawn, start) for _ in range(batch)] for _ in range(_VARIANTS)]


def _alert(drawn: random.Random, start: str) -> dict[str, Any]:
    name, service = drawn.choice(ALERT_NAMES), drawn.choice(ALERT_SERVICES)
    host = f"{service}-{_NUMBER}.example.net"
    return {
        "status": "firing",
        "labels": {
            "alertname": name, "service": service, "severity": drawn.choice(SEVERITIES), "instance": f"{host}:9100",
            "job": "node", "site": drawn.choice(("north", "south", "east")), "stage": "production",
        },
        "annotations": {
            "summary": f"{name} on {host}",
            "description": f"{service} has been over its threshold for {drawn.randrange(5, 90)} minutes",
            "runbook_url": f"https://runbooks.example.net/{name}",
        },
        "startsAt": start, "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"http://prometheus.example.net/graph?g0.expr={name}", "fingerprint": _PRINT,
    }  # fmt: skip


def _webhook(alerts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": "4", "groupKey": '{}:{service="shop"}', "truncatedAlerts": 0, "status": "firing",
        "receiver": "desk", "groupLabels": {"service": "shop"}, "commonLabels": {"job": "node"},
        "commonAnnotations": {}, "externalURL": "http://alertmanager.example.net", "alerts": list(alerts),
    }  # fmt: skip


def _template(document: Any) -> bytes:
    text = json.dumps(document)
    assert "%" not in text
    return text.replace(_NUMBER, "%d").replace(_PRINT, "%016x").encode()


def _print(number: int) -> int:
    return number * _SPREAD & 0xFFFFFFFFFFFFFFFF


# ---------------------------------------------------------------------- mails

_MARK = "number00000000"
_WIDTH = len(_MARK) - len("number")
_THINGS = ("The printer", "My laptop", "The VPN", "The web shop", "Payroll", "The file share", "The badge reader")
_TROUBLES = ("does not start", "is very slow", "asks for my password again and again", "shows an error", "is gone")
_MORE = (
    "It began this morning.", "Three colleagues see the same.", "There is no hurry.", "Customers call us about it.",
    "I have restarted it twice.", "We close the month tonight.", "Only I seem to have it.",
)  # fmt: skip
_FOREIGN = (
    ("iso-8859-1", "La messagerie est très lente", "Bonjour, depuis ce matin rien ne va. Merci beaucoup"),
    ("utf-8", "Drucker druckt leere Blätter", "Guten Tag, seit heute früh kommen nur leere Blätter. Danke und Grüße"),
    ("utf-8", "ネットワークにつながりません", "こんにちは。今朝から接続できません。"),
    ("iso-8859-2", "Drukarka nie działa", "Dzień dobry, od rana drukarka nie działa. Dziękuję!"),
)
_PEOPLE = ("ana", "ben", "chloe", "dmitri", "ewa", "farid", "gita", "hugo")


@dataclass(frozen=True, slots=True)
class Mails:
    """Mails in turn: `make` gives the envelope sender, and the message dot-stuffed and ended, under a number."""

    templates: Sequence[tuple[str, bytes]]

    def make(self, number: int) -> tuple[str, bytes]:
        """The mail of that number."""
        sender, template = self.templates[number % len(self.templates)]
        return sender, template.replace(_MARK.encode(), b"number%0*d" % (_WIDTH, number))


def varied_mails(count: int = 300, seed: int = 1) -> Mails:
    """Plain and HTML, several charsets and encodings, replies, absence notices, monitors' mails, attachments."""
    drawn = random.Random(seed)
    return Mails([_mail(drawn, place) for place in range(count)])


def _mail(drawn: random.Random, place: int) -> tuple[str, bytes]:
    who = drawn.choice(_PEOPLE)
    sender = f"{who}{drawn.randrange(2000)}@example.org"
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = f"{who.title()} Example <{sender}>"
    message["To"] = "Example IT <support@example.com>"
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{_MARK}.{place}@mail.example.org>"
    subject = f"{drawn.choice(_THINGS)} {drawn.choice(_TROUBLES)}"
    text = f"Hello,\n\n{subject}, see {_MARK}.\n{_long(drawn)}\nKind regards\n{who.title()}\n"
    _fill(message, drawn, subject=subject, text=text)
    body = message.as_bytes()
    lines = [b"." + line if line.startswith(b".") else line for line in body.split(b"\r\n")]
    return sender, b"\r\n".join(lines) + b".\r\n"


def _long(drawn: random.Random) -> str:
    """A few sentences, seldom many."""
    count = min(int(drawn.paretovariate(1.1) * 3), 300)
    return "\n".join(" ".join(drawn.choice(_MORE) for _ in range(3)) for _ in range(count))


def _fill(message: EmailMessage, drawn: random.Random, *, subject: str, text: str) -> None:
    kind = drawn.random()
    if kind < 0.15:
        message["In-Reply-To"] = message["References"] = f"<other.{drawn.randrange(1000)}@mail.example.org>"
        subject = f"Re: {subject}"
        text += "".join(f"> {line}\n" for line in text.splitlines())
    elif kind < 0.2:
        message["Auto-Submitted"] = "auto-replied"
        subject, text = f"Away: {subject}", "I am away until Monday.\n"
    elif kind < 0.3:
        subject = f"PROBLEM web{drawn.randrange(90)}: {subject}"
        text = f"State: CRITICAL\nHost: web{drawn.randrange(90)}\n{text}"
    elif kind < 0.4:
        charset, subject, text = drawn.choice(_FOREIGN)
        message["Subject"] = subject
        message.set_content(f"{text}\n\n", charset=charset)
        return
    message["Subject"] = subject
    message.set_content(text, cte=drawn.choice(("8bit", "8bit", "quoted-printable", "base64")))
    if drawn.random() < 0.4:
        message.add_alternative(f"<html><body>{text.replace(chr(10), '<br>' + chr(10))}</body></html>", subtype="html")
    if drawn.random() < 0.1:
        size = min(int(drawn.paretovariate(1.1) * 4000), 200_000)
        message.add_attachment(drawn.randbytes(size), maintype="image", subtype="png", filename=f"screen{size}.png")
