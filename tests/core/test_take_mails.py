"""Mails on the table: they thread, open, come back, and are answered once and never by mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from incidents.person import Person
from incidents.signal import Bounce, Mail, Mailbox
from kit.tokens import Purpose, Token


@pytest.fixture
def noon(table: Any) -> datetime:
    return table.working.now  # type: ignore[no-any-return]


def later(minutes: int, noon: datetime) -> datetime:
    return noon + timedelta(minutes=minutes)


def reply_address(table: Any, record: int, person: int) -> str:
    token = table.working.desk.keyring.sign(Token(Purpose.REPLY, record, person))
    return f"support+{token}@example.com"


def our_message_id(table: Any, record: int, person: int) -> str:
    token = table.working.desk.keyring.sign(Token(Purpose.REPLY, record, person))
    return f"{token}.77@abcdefgh.desk.example.com"


def solve(table: Any, state: str = "resolved", **more: Any) -> None:
    """Put the only record into a state, as if time had passed."""
    record = table.only()
    table.working.incidents[record.id] = table.working.opened[record.id] = replace(
        record, state=state, resolved_at=table.working.now, restored_at=table.working.now, **more
    )


def test_a_mail_opens_a_record_and_its_author_is_answered_once(table: Any, mail: Callable[..., Mail]) -> None:
    """One receipt, one record, one acknowledgement in the same commit."""
    table.lay(mail(message_id="1@example.org"))
    record = table.only()
    assert (record.title, record.mailbox, record.state) == ("Printer prints blank pages", "support", "new")
    assert table.told("acknowledgement") == ["ann@example.com"]
    assert table.entries(record.id)[:2] == ["opened", "message_in"]


def test_a_reply_to_our_address_joins(table: Any, mail: Callable[..., Mail]) -> None:
    """A19: the signed plus-address of the recipient."""
    table.lay(mail())
    record = table.only()
    table.lay(mail("Something else", recipients=(reply_address(table, record.id, record.requester),)))
    assert table.only().id == record.id
    assert table.told("acknowledgement") == ["ann@example.com"]


def test_a_reply_to_our_message_joins(table: Any, mail: Callable[..., Mail]) -> None:
    """A20: our token in In-Reply-To or, from newest to oldest, in References."""
    table.lay(mail())
    record = table.only()
    table.lay(mail("Re: printer", references=("x@y", our_message_id(table, record.id, record.requester))))
    assert table.dispositions() == ["opened", "folded"]


def test_a_forged_token_is_no_reply(table: Any, mail: Callable[..., Mail]) -> None:
    """A20: an invalid MAC means a mail of its own."""
    table.lay(mail())
    record = table.only()
    forged = our_message_id(table, record.id, 1).replace("a", "b")
    table.lay(mail("Re: printer", in_reply_to=forged))
    assert table.dispositions() == ["opened", "opened"]


def test_another_desks_messages_do_not_thread_here(table: Any, mail: Callable[..., Mail]) -> None:
    """A23: the instance id is part of our Message-IDs."""
    table.lay(mail())
    record = table.only()
    foreign = our_message_id(table, record.id, 1).replace("abcdefgh", "zzzzzzzz")
    table.lay(mail("Re: printer", in_reply_to=foreign))
    assert len(table.records()) == 2


def test_people_who_answer_the_first_mail_before_us_join_it(table: Any, mail: Callable[..., Mail]) -> None:
    """A27: every Message-ID seen is indexed, the referred ones too."""
    table.lay(mail(message_id="1@example.org", references=("0@example.org",)))
    table.lay(mail("Re: printer", sender="bob@example.com", message_id="2@example.org", in_reply_to="1@example.org"))
    table.lay(mail("Re: printer", sender="eve@example.com", message_id="3@example.org", in_reply_to="0@example.org"))
    assert table.dispositions() == ["opened", "folded", "folded"]


@pytest.mark.parametrize(("sender", "became"), [("ann@example.com", "folded"), ("eve@example.com", "opened")])
def test_a_number_in_the_subject_joins_participants_only(
    table: Any, mail: Callable[..., Mail], sender: str, became: str
) -> None:
    """Fault 33 and A22: a guess opens a record of its own, linked, and discloses nothing."""
    table.lay(mail())
    record = table.only()
    table.working.numbers[1042] = record.id
    table.lay(mail("old thing [REQ-7] and then [INC-1042]", sender=sender))
    assert table.dispositions() == ["opened", became]
    assert [link.relation for link in table.working.links] == ([] if became == "folded" else ["related_to"])


def test_somebody_known_who_takes_no_part_does_not_join_by_a_number(table: Any, mail: Callable[..., Mail]) -> None:
    """Fault 33: to be known here gives no right to other people's records."""
    table.lay(mail())
    first = table.only()
    table.working.numbers[1042] = first.id
    table.lay(mail("Another thing", sender="eve@example.com"))
    table.lay(mail("old thing [INC-1042]", sender="eve@example.com"))
    assert table.dispositions() == ["opened"] * 3


def test_another_sender_than_the_token_was_for_is_marked(table: Any, mail: Callable[..., Mail]) -> None:
    """A19: the text joins, the identity does not."""
    table.lay(mail())
    record = table.only()
    table.lay(mail(sender="eve@example.com", recipients=(reply_address(table, record.id, record.requester),)))
    (joined,) = [entry for entry in table.working.entries if "identity" in entry.values]
    assert joined.subject == record.id


def test_a_reply_reopens_what_was_resolved_and_is_answered(
    table: Any, mail: Callable[..., Mail], noon: datetime
) -> None:
    """A29 and A33: one that reopens is acknowledged, one that only folds is not."""
    table.lay(mail(message_id="1@example.org"))
    solve(table)
    table.lay(mail("Re: printer", in_reply_to="1@example.org"), at=later(9, noon))
    assert (table.only().state, table.only().reopens) == ("working", 1)
    assert table.told("acknowledgement") == ["ann@example.com"] * 2


def test_an_out_of_office_changes_nothing_and_is_not_answered(
    table: Any, mail: Callable[..., Mail], noon: datetime
) -> None:
    """A29, A35: automatic mail is recorded; it neither reopens nor stops a clock."""
    table.lay(mail(message_id="1@example.org"))
    solve(table)
    table.lay(mail("Away", in_reply_to="1@example.org", automatic="auto_submitted"), at=later(9, noon))
    assert table.only().state == "resolved"
    assert len(table.told("acknowledgement")) == 1


def test_a_record_comes_back_by_mail_only_so_often_a_day(table: Any, mail: Callable[..., Mail], noon: datetime) -> None:
    """A37: the reopen cap."""
    table.lay(mail(message_id="1@example.org"))
    for number in range(8):
        solve(table)
        table.lay(mail("Re: printer", in_reply_to="1@example.org", text=f"again {number}"), at=later(number, noon))
    assert table.only().reopens == table.working.desk.policy.limits.reopens_per_day


def test_a_late_reply_to_what_is_closed_opens_a_follow_up(
    table: Any, mail: Callable[..., Mail], noon: datetime
) -> None:
    """A29: beyond reopen_within a new record, linked."""
    table.lay(mail(message_id="1@example.org"))
    solve(table, "closed", closed_at=noon - timedelta(days=30))
    table.lay(mail("Re: printer", in_reply_to="1@example.org"))
    assert [link.relation for link in table.working.links] == ["follow_up_of"]
    assert len(table.records()) == 2


def test_an_answer_brings_back_what_waited_for_the_customer(
    table: Any, mail: Callable[..., Mail], noon: datetime
) -> None:
    """The wait is over when the customer speaks."""
    table.lay(mail(message_id="1@example.org"))
    solve(table, "waiting_customer")
    table.lay(mail("Re: printer", in_reply_to="1@example.org"), at=later(3, noon))
    assert table.only().state == "working"


def test_a_copy_to_another_of_our_addresses_is_a_duplicate(table: Any, mail: Callable[..., Mail]) -> None:
    """A4: it names the first, and opens nothing."""
    table.lay(mail(), key=b"same")
    table.lay(mail(), key=b"same")
    first, second = table.working.signals
    assert (second.disposition, second.key, second.repeats) == ("duplicate", None, first.id)
    assert len(table.records()) == 1


@pytest.mark.parametrize(
    ("more", "disposition"),
    [
        ({"hops": 150}, "loop"),
        ({"message_id": "own"}, "loop"),
        ({"spam": True}, "spam"),
        ({"bounce": (Bounce("x@example.com", "5.1.1", hard=True, reason="unknown"),)}, "unmatched"),
    ],
)
def test_what_is_nobodys_words_opens_nothing_and_is_not_answered(
    table: Any, mail: Callable[..., Mail], more: dict[str, Any], disposition: str
) -> None:
    """Faults 8, 34, 37 and A16, A36: kept, listed, unanswered."""
    if more.get("message_id") == "own":
        more = {"message_id": our_message_id(table, 1, 1)}
    table.lay(mail(**more))
    assert table.dispositions() == [disposition]
    assert table.records() == []
    assert not table.working.outgoing


def test_a_bounce_joins_the_record_of_the_mail_it_reports_on(table: Any, mail: Callable[..., Mail]) -> None:
    """Fault 8, A39: attached, the address suppressed when the failure is permanent, never answered."""
    table.lay(mail())
    record = table.only()
    report = Bounce("ann@example.com", "5.1.1", hard=True, reason="no such user")
    lost = our_message_id(table, record.id, record.requester)
    table.lay(mail("Undelivered", sender="mailer-daemon@example.com", bounce=(report,), bounced_message_id=lost))
    assert table.only().id == record.id
    assert table.working.suppressed == {("ann@example.com", record.requester): "5.1.1 no such user"}
    assert table.entries(record.id)[-1] == "delivery"


def test_a_thousand_mails_of_one_sender_get_ten_answers(table: Any, mail: Callable[..., Mail]) -> None:
    """Fault 35: whatever the headers say."""
    for number in range(100):
        table.lay(mail(f"robot {number}"))
    assert len(table.told("acknowledgement")) == 10
    rows = [one for one in table.working.outgoing.values() if one.kind == "acknowledgement"]
    assert {one.reason for one in rows if one.state == "suppressed"} == {"budget"}


def test_forty_mails_a_day_go_to_one_address(table: Any, mail: Callable[..., Mail], noon: datetime) -> None:
    """G8: the budget of the day, however they are spread over its hours."""
    for number in range(60):
        table.working.now = noon + timedelta(minutes=20 * number)
        table.lay(mail(f"robot {number}"), at=table.working.now)
    assert len(table.told("acknowledgement")) == 40


def test_the_desk_writes_only_so_much_by_itself(table: Any, mail: Callable[..., Mail]) -> None:
    """G8: beyond what all addresses together may have, something goes in circles."""
    policy = table.working.desk.policy
    few = replace(policy, limits=replace(policy.limits, automatic_mails_in_all_per_hour=3))
    table.working.desk = replace(table.working.desk, policy=few)
    for number in range(5):
        table.lay(mail(sender=f"p{number}@example.org"))
    assert len(table.told("acknowledgement")) == 3
    assert {one.reason for one in table.working.outgoing.values() if one.state == "suppressed"} == {"desk_budget"}


def test_an_address_that_takes_no_mail_is_sent_none(table: Any, mail: Callable[..., Mail]) -> None:
    """A39: after a permanent failure the record opens and nobody is answered; the row says why."""
    ann = Person(77, "Ann Example", address="ann@example.com", suppressed=True)
    table.working.by_address["ann@example.com"] = table.working.people[77] = ann
    table.lay(mail())
    (row,) = [one for one in table.working.outgoing.values() if one.kind == "acknowledgement"]
    assert (row.state, row.reason) == ("suppressed", "address_suppressed")


def test_a_failure_that_passes_suppresses_nobody(table: Any, mail: Callable[..., Mail]) -> None:
    """A39: a full mailbox is written to again."""
    table.lay(mail())
    record = table.only()
    report = Bounce("ann@example.com", "4.2.2", hard=False, reason="mailbox full")
    lost = our_message_id(table, record.id, record.requester)
    table.lay(mail("Delayed", sender="mailer-daemon@example.com", bounce=(report,), bounced_message_id=lost))
    assert not table.working.suppressed
    assert table.working.bounced


def test_forwarding_our_mail_to_another_desk_address_opens_a_linked_record(
    table: Any, mail: Callable[..., Mail]
) -> None:
    """A20, A30: addressed to another of our addresses, without a token in it."""
    table.working.desk.addresses["billing@example.com"] = "billing"
    table.lay(mail())
    record = table.only()
    lost = our_message_id(table, record.id, record.requester)
    table.lay(mail("Fwd: printer", recipients=("billing@example.com",), references=(lost,)))
    assert table.dispositions() == ["opened", "opened"]
    assert [link.relation for link in table.working.links] == ["related_to"]


def test_a_mail_without_a_sender_still_opens_a_record(table: Any, mail: Callable[..., Mail]) -> None:
    """A12: nobody to answer, but somebody has to look."""
    table.lay(replace(mail(), sender=None))
    assert table.only().requester is None
    assert not table.told("acknowledgement")


def test_people_in_copy_become_watchers_where_policy_says_so(table: Any, mail: Callable[..., Mail]) -> None:
    """A17: off in the lean pack."""
    table.lay(mail(copied=(Mailbox("bob@example.com", "Bob"),)))
    roles = {role for _, _, role in table.working.participants[table.only().id]}
    assert roles == {"requester"}
