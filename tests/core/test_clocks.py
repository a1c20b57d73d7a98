"""Clocks of records that wait, and what a record keeps when it is over: each a story that once went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from desk.acknowledge import acknowledge
from desk.apply import apply
from desk.close import merge
from desk.context import Desk
from desk.errors import NoSuchMove
from desk.reopen import reopen
from desk.restore import Resolution, resolve, restore
from desk.wait import wait
from incidents.incident import Incident
from incidents.person import Author
from incidents.signal import Alert, Mail
from rules.policy import Policy

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MONITOR = Author(1, "a monitor", frozenset(), human=False)
LEAD = Author(9003, "Ben Example", frozenset({"manager"}), team="service-desk")
NOTES = {"symptom": "blank pages", "cause": "no toner", "fix": "new toner", "check": "a test page"}


@pytest.fixture
def waiting(table: Any, alert: Callable[..., Alert], policy: Policy) -> Incident:
    """A record that waits on the customer since noon."""
    table.lay(alert(labels={"severity": "critical"}))
    change = wait(table.only(), by=LEAD, at=NOON, policy=policy, on="customer", reason="a question")
    return apply(table.working, change)


def test_a_record_restored_while_it_waits_has_its_clocks_again(table: Any, waiting: Incident, policy: Policy) -> None:
    """What is still promised runs on, later by the time that it stood."""
    due_before = {target.name: target.due_at for target in table.working.live_targets(waiting.id, "sla.")}
    later = NOON + timedelta(hours=30)
    apply(table.working, restore(waiting, by=MONITOR, at=later, policy=policy, text="it works"))
    (resolved_by,) = [one for one in table.working.live_targets(waiting.id) if one.name == "sla.resolve"]
    assert resolved_by.state == "running"
    assert resolved_by.due_at == due_before["sla.resolve"] + timedelta(hours=30)


def test_what_happens_while_the_clock_stands_is_in_time(table: Any, waiting: Incident, policy: Policy) -> None:
    """Two days of waiting do not make a restore of four hours late."""
    apply(table.working, restore(waiting, by=MONITOR, at=NOON + timedelta(days=2), policy=policy, text=""))
    (met,) = [one for one in table.working.targets[waiting.id] if one.name == "sla.restore"]
    assert met.state == "met"


def test_a_merged_record_is_not_reopened(
    table: Any, alert: Callable[..., Alert], mail: Callable[..., Mail], policy: Policy
) -> None:
    """Its fold keys and its people are with the record that it went into."""
    table.lay(alert())
    table.lay(mail())
    away, into = table.records()
    closed, here = merge(away, into=into, by=LEAD, at=NOON, policy=policy, reason="the same", people=())
    apply(table.working, here)
    gone = apply(table.working, closed)
    with pytest.raises(NoSuchMove):
        reopen(gone, by=LEAD, at=NOON, policy=policy, reason="no", promises=[])


def test_a_record_ended_by_hand_loses_the_key_that_another_takes_over(
    table: Any, alert: Callable[..., Alert], policy: Policy
) -> None:
    """Its alert never said that it ended, and fires anew long after: the new record counts it, the old one does not."""
    table.lay(alert())
    ended = resolve(
        table.only(), by=LEAD, at=NOON, policy=policy, resolution=Resolution(NOTES, waive="the owner is away"), to=[]
    )
    apply(table.working, ended)
    table.lay(alert(start=600), at=NOON + timedelta(hours=10))
    old, new = table.records()
    assert (old.firing, new.firing) == (0, 1)


def test_a_machine_that_opened_a_record_is_no_requester(table: Any, mail: Callable[..., Mail]) -> None:
    """G8: status mails go to the requester, and automatic mail never answers automatic mail."""
    table.lay(mail(automatic="auto_generated"))
    record = table.only()
    assert record.requester is None
    assert {role for _, _, role in table.working.participants[record.id]} == {"machine"}


def test_who_has_a_record_is_not_paged_when_it_gets_worse(
    table: Any, alert: Callable[..., Alert], policy: Policy
) -> None:
    """Escalation stopped at the acknowledgement; a stronger hint raises the priority and wakes nobody."""
    table.lay(alert(hint="sev4"))
    change = acknowledge(table.only(), by=LEAD, at=NOON, policy=policy, assignable=True, channel="link")
    assert change is not None
    apply(table.working, change)
    table.lay(alert(hint="sev1", title="DiskFull on web1, worse"))
    assert table.only().priority == "P1"
    assert not table.told("escalation")


def test_an_answer_to_the_address_of_a_merged_record_joins_the_one_it_went_into(
    table: Any, alert: Callable[..., Alert], mail: Callable[..., Mail], make_desk: Callable[..., Desk], policy: Policy
) -> None:
    """A28 beside A20: the address that the mail first went to is no other address."""
    other = replace(policy, mailboxes={**policy.mailboxes, "shop": replace(policy.mailboxes["support"], name="shop")})
    addresses = {"support@example.com": "support", "shop@example.com": "shop"}
    table.working.desk = replace(make_desk(other), addresses=addresses)
    table.lay(alert())
    into = table.only()
    table.lay(mail(message_id="1@example.org", recipients=("shop@example.com",)), mailbox="shop")
    away = next(one for one in table.records() if one.id != into.id)
    closed, here = merge(away, into=into, by=LEAD, at=NOON, policy=other, reason="the same", people=())
    for change in (here, closed):
        apply(table.working, change)
    answer = mail("Re: blank", in_reply_to="1@example.org", recipients=("shop@example.com",))
    table.lay(answer, mailbox="shop")
    assert table.dispositions()[-1] == "folded"
