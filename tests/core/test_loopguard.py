"""The loop guard: whom the desk answers by itself, and how often."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from desk.answering import Unanswered, is_automatic, why_unanswered
from incidents.budget import oldest_counted, slot_of, spent
from incidents.signal import Bounce, Mail, Mailbox
from rules.policy import DeskMailbox

MAILBOX = DeskMailbox(
    "support", "always", "reopen", "accept", ("all@example.com",), watchers=False, subject_must_match=False
)
MAIL = Mail(
    Mailbox("ana@example.com", "Ana Example"), ("support@example.com",), "printer", message_id="x1@mail.example.com"
)
OWN = frozenset({"support@example.com"})
BOUNCE = (Bounce("a@example.com", "5.1.1", hard=True, reason="no such user"),)
NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)


def why(mail: Mail, mailbox: DeskMailbox = MAILBOX) -> Unanswered | None:
    return why_unanswered(mail, mailbox, own_addresses=OWN, own_instance="d7k2")


def test_a_persons_mail_is_answered() -> None:
    assert why(MAIL) is None


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        (replace(MAIL, sender=None), Unanswered.NO_SENDER),
        (replace(MAIL, sender=Mailbox("")), Unanswered.NO_SENDER),
        (replace(MAIL, sender=Mailbox("not an address")), Unanswered.NO_SENDER),
        (replace(MAIL, sender=Mailbox("Support+abc@example.com")), Unanswered.OWN_ADDRESS),
        (replace(MAIL, message_id="abc.31@d7k2.example.com"), Unanswered.OWN_MESSAGE),
        (replace(MAIL, bounce=BOUNCE), Unanswered.BOUNCE),
        (replace(MAIL, spam=True), Unanswered.SPAM),
        (replace(MAIL, hops=31), Unanswered.HOPS),
        (replace(MAIL, automatic="auto_submitted"), Unanswered.AUTOMATIC),
        (replace(MAIL, automatic="list"), Unanswered.AUTOMATIC),
        (replace(MAIL, auto_reply_suppressed=True), Unanswered.NOT_WANTED),
    ],
)
def test_what_might_answer_back_is_not_answered(mail: Mail, reason: Unanswered) -> None:
    """A15, A33, A36; thirty hosts are still a way that mail takes."""
    assert why(replace(MAIL, hops=30)) is None
    assert why(mail) is reason


def test_another_instance_is_not_our_own() -> None:
    """A23. Requesters share our domain, so only the instance id tells."""
    assert why(replace(MAIL, message_id="abc.31@d7k3.example.com")) is None


def test_a_wish_for_silence_is_no_sign_of_a_machine() -> None:
    """A34. The record is opened all the same."""
    assert not is_automatic(replace(MAIL, auto_reply_suppressed=True), MAILBOX)


def test_a_list_that_is_our_own_address_brings_mail_of_people() -> None:
    mail = replace(MAIL, automatic="list", recipients=("all@example.com",))
    assert why(mail) is None
    assert why(mail, replace(MAILBOX, lists=())) is Unanswered.AUTOMATIC


def test_a_mailbox_decides_whom_it_acknowledges() -> None:
    """Fault 36: with `verified` nobody gets mail in whose name somebody else wrote."""
    verified = replace(MAILBOX, ack="verified")
    assert why(MAIL, verified) is why(replace(MAIL, verified=False), verified) is Unanswered.UNVERIFIED
    assert why(replace(MAIL, verified=True), verified) is None
    assert why(replace(MAIL, verified=True), replace(MAILBOX, ack="never")) is Unanswered.NEVER


def test_a_thousand_mails_an_hour_get_ten_answers_and_forty_a_day() -> None:
    """Fault 35, A37: in any hour and any day, one mail every 3.6 s for a day and a bit, over every boundary."""
    by_slot: dict[datetime, int] = {}
    answered: list[datetime] = []
    for n in range(30_000):
        now = NOW + timedelta(seconds=3.6) * n
        hour, day = spent({slot: count for slot, count in by_slot.items() if slot > oldest_counted(now)}, now)
        if hour < 10 and day < 40:
            by_slot[slot_of(now)] = by_slot.get(slot_of(now), 0) + 1
            answered.append(now)
    for span, most in ((timedelta(hours=1), 10), (timedelta(days=1), 40)):
        assert max(sum(start <= at < start + span for at in answered) for start in answered) == most
    assert answered[10] - answered[0] <= timedelta(minutes=65)
    assert answered[40] - answered[0] <= timedelta(days=1, minutes=5)
