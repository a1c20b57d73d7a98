"""Delivery reports in forms of their own, and mails that only look like one (A39 to A41)."""

from __future__ import annotations

import pytest

from incidents.signal import Mail
from ingest.formats.mail import parse

COPY = "\n--- Below this line is a copy of the message.\n\nMessage-ID: <inc-1@desk.example.com>\nSubject: Printer\n"


def report(text: str, *, sender: str = "MAILER-DAEMON@mx.example.org", subject: str = "failure notice") -> Mail:
    mail = f"From: {sender}\nTo: support@example.com\nSubject: {subject}\n\n{text}"
    return parse(mail.encode(), {"from": "", "to": ["support@example.com"]})


@pytest.mark.parametrize(
    ("text", "dsn", "hard"),
    [
        ("I couldn't deliver to this address:\n\n<ben@example.org>:\n550 5.1.1 no such user\n", "5.1.1", True),
        ("Your mail could not be delivered:\n  ben@example.org\n    452 4.2.2 mailbox full\n", "4.2.2", False),
        ("This failed permanently:\n  ben@example.org\n  552 5.2.2 the quota is used up\n", "5.2.2", False),
        ("<ben@example.org>: 554 5.7.1 blocked because of policy\n", "5.7.1", False),
    ],
)
def test_the_words_of_a_mail_system_tell_who_and_why(text: str, dsn: str, *, hard: bool) -> None:
    """A40: only an address that isn't there is given up (A39)."""
    read = report(text + COPY)
    assert read.bounced_message_id == "inc-1@desk.example.com"
    assert [(one.recipient, one.dsn, one.hard) for one in read.bounce or ()] == [("ben@example.org", dsn, hard)]


def test_a_report_without_a_copy_is_one_when_the_mail_system_wrote_it() -> None:
    read = report("<ben@example.org>: no such user")
    assert (read.bounced_message_id, len(read.bounce or ())) == (None, 1)


def test_a_monitor_that_tells_of_undelivered_mail_opens_an_incident() -> None:
    """G1: printers and scripts use the null sender too, and what they tell is nobody's bounce."""
    read = report("Delivery failed for ben@example.org.", sender="monitor@example.com", subject="Queue is stuck")
    assert (read.bounce, read.automatic) == (None, "null_sender")


def test_a_person_who_forwards_a_bounce_opens_an_incident() -> None:
    text = "I got this:\n\nUndelivered mail: <ben@example.org>: 550 5.1.1 no such user\n" + COPY
    mail = f"From: ana@example.com\nTo: support@example.com\nSubject: Fwd: failure notice\n\n{text}"
    assert parse(mail.encode(), {"from": "ana@example.com", "to": ["support@example.com"]}).bounce is None


def test_news_of_a_mail_that_arrived_reports_no_failure() -> None:
    """A41: neither an incident nor a reply."""
    read = parse(
        b"From: MAILER-DAEMON@mx.example.org\nSubject: arrived\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n\nIt arrived.\n--x\n"
        b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
        b"Final-Recipient: rfc822; ben@example.org\nAction: delivered\nStatus: 2.0.0\n\n--x\n"
        b"Content-Type: text/rfc822-headers\n\nMessage-ID: <inc-1@desk.example.com>\n\n--x--\n",
        {"from": "", "to": ["support@example.com"]},
    )
    assert (read.bounce, read.bounced_message_id) == ((), "inc-1@desk.example.com")
