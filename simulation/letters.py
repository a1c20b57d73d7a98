"""The bytes that people, their machines and monitors send: made of an event alone, so that a retry sends the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime

from kit.instants import stamp
from simulation.events import MailSent, Nature, Said

POISON = "poison"
#: A Monday. Seconds of a story count from here.
START = datetime.fromisoformat("2026-01-05T00:00:00+00:00")


def message_id(name: str) -> str:
    """The Message-ID of a mail, without brackets."""
    return f"{name}@mail.example.net"


def write_mail(mail: MailSent, at: datetime, *, subject: str, references: Sequence[str] = ()) -> bytes:
    """A mail as a plain client writes it."""
    heads = [
        f"From: {mail.sender.partition('@')[0].title()} Example <{mail.sender}>",
        f"To: {mail.to}",
        f"Date: {format_datetime(at)}",
        f"Subject: {subject}",
        f"Message-ID: <{message_id(mail.name)}>",
    ]
    if mail.copies:
        heads.append(f"Cc: {', '.join(mail.copies)}")
    if references:
        heads.append(f"In-Reply-To: <{references[-1]}>")
        heads.append("References: " + "\r\n ".join(f"<{one}>" for one in references))
    if mail.nature is Nature.MACHINE:
        heads.append("Auto-Submitted: auto-generated")
    if mail.nature is Nature.POISON:
        heads.append(f"X-Kind: {POISON}")
    return ("\r\n".join(heads) + "\r\n\r\n" + mail.text).encode()


def write_report(about: str, recipient: str, *, name: str, hard: bool) -> bytes:
    """A delivery report on the mail ``about``."""
    status = "5.1.1" if hard else "4.2.2"
    action = "failed" if hard else "delayed"
    return (
        "From: Mail System <mailer-daemon@mail.example.net>\r\n"
        "Subject: Undelivered mail\r\n"
        f"Message-ID: <{message_id(name)}>\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="part"\r\n'
        "\r\n--part\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n"
        "--part\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mail.example.net\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
        "--part\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"Message-ID: <{about}>\r\n\r\n--part--\r\n"
    ).encode()


def write_group(said: Sequence[Said], at: datetime) -> bytes:
    """A notification of Alertmanager."""
    alerts = [
        {
            "status": "firing" if one.firing else "resolved",
            "labels": {"alertname": one.key.title(), "service": _service(one.key), "severity": one.severity},
            "annotations": {"summary": f"{one.key} in state {one.words}"},
            "startsAt": stamp(START + timedelta(seconds=one.episode)),
            "endsAt": "0001-01-01T00:00:00Z" if one.firing else stamp(at),
            "fingerprint": one.key,
        }
        for one in said
    ]
    return json.dumps({"version": "4", "groupKey": "{}", "status": "firing", "alerts": alerts}).encode()


def write_event(one: Said) -> bytes:
    """An event in PagerDuty's dialect."""
    body = {
        "event_action": "trigger" if one.firing else "resolve",
        "dedup_key": one.key,
        "payload": {"summary": f"{one.key} in state {one.words}", "source": "host", "severity": one.severity},
    }
    return json.dumps(body).encode()


def _service(key: str) -> str:
    return ("checkout", "mail", "vpn", "printing")[sum(key.encode()) % 4]
