"""A day at the desk, by its real doors: a mail, its answer, the answer to that, and the end of it."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage
from typing import Any


def test_a_mail_is_an_incident_and_its_author_has_an_answer(
    desk: Any, mail_of: Callable[..., EmailMessage], waiting: Callable[..., Any]
) -> None:
    """D1, D7: kept, worked, acknowledged; and why says how every field got its value."""
    desk.mail(mail_of())
    (record,) = waiting(desk.incidents, "the mail is an incident")
    assert record["title"] == "My screen is dark"
    assert record["requester"]["address"] == "ann@example.com"
    (answer,) = waiting(lambda: desk.sent("ann@example.com"), "the acknowledgement is in the Maildir")
    assert record["ref"] in str(answer["Subject"])
    why = desk.ctl("incident", "why", record["ref"])
    fields = why["fields"]
    assert {"priority", "team", "service", "impact", "urgency"} <= fields.keys()
    assert all(field["reason"] for field in fields.values())


def test_the_whole_conversation_stays_in_one_record_and_one_thread(
    desk: Any, mail_of: Callable[..., EmailMessage], waiting: Callable[..., Any]
) -> None:
    """Reply by mail, reply by agent, resolve, reopen by reply, close; and the chain verifies."""
    desk.mail(mail_of())
    (answer,) = waiting(lambda: desk.sent("ann@example.com"), "an acknowledgement")
    (record,) = desk.incidents()
    ref = record["ref"]

    def reply(to: Any) -> EmailMessage:
        return mail_of(
            subject=f"Re: {to['Subject']}", To=str(to["Reply-To"]), In_Reply_To=str(to["Message-ID"]),
            References=f"{to['References']} {to['Message-ID']}",
        )  # fmt: skip

    desk.mail(reply(answer))
    waiting(lambda: desk.ctl("incident", "show", ref)["signals"] == 2, "the reply joins")
    desk.ctl("incident", "ack", ref)
    desk.ctl("incident", "reply", ref, "Which screen is it?")
    mails = waiting(lambda: desk.sent("ann@example.com")[1:] and desk.sent("ann@example.com"), "the agent's reply")
    roots = {str(mail["References"]).split()[0] for mail in mails}
    assert len(roots) == 1
    desk.ctl(
        "incident", "resolve", ref, "--symptom", "dark", "--cause", "cable", "--fix", "new cable", "--check", "bright"
    )
    assert desk.ctl("incident", "show", ref)["state"] == "resolved"
    desk.mail(reply(answer))
    waiting(lambda: desk.ctl("incident", "show", ref)["state"] == "working", "the reply reopens it")
    desk.ctl("incident", "close", ref, "--reason", "it was another desk's after all")
    assert desk.ctl("incident", "show", ref)["state"] == "closed"
    assert [one["ref"] for one in desk.incidents() if one["state"] != "closed"] == []
    assert desk.ctl("audit", "verify")["first_broken"] is None
    assert desk.ctl("signal", "reconcile")["differences"] == []


def test_a_stop_by_sigterm_is_clean_and_nothing_is_lost(
    desk: Any, mail_of: Callable[..., EmailMessage], waiting: Callable[..., Any]
) -> None:
    """What was accepted is there after the next start."""
    desk.mail(mail_of(subject="before the stop"))
    assert desk.stop() == 0
    desk.start()
    waiting(lambda: [one for one in desk.incidents() if one["title"] == "before the stop"], "it is there")
