"""Alerts on the table: they fold by key and episode, open, resolve, come back, and people hear of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desk.apply import apply
from desk.arrival import Arrival
from desk.close import merge
from desk.context import Desk
from desk.take import take
from desk.working import Working
from incidents.person import Author
from incidents.signal import Alert, Refused

CRITICAL = {"severity": "critical", "env": "prod", "service": "checkout"}


def later(minutes: int, noon: datetime) -> datetime:
    return noon + timedelta(minutes=minutes)


@pytest.fixture
def noon(table: Any) -> datetime:
    return table.working.now  # type: ignore[no-any-return]


def test_a_new_alert_opens_one_incident_with_owner_clocks_and_a_page(table: Any, alert: Callable[..., Alert]) -> None:
    """One commit holds the record, its one timeline entry, its promises, its escalation and the page."""
    table.lay(alert(labels=CRITICAL))
    record = table.only()
    assert (record.state, record.priority, record.team, record.firing) == ("new", "P1", "payments", 1)
    assert table.entries(record.id) == ["opened", "escalated"]
    names = {target.name for target in table.working.targets[record.id]}
    assert names == {"sla.respond", "sla.restore", "sla.resolve", "escalation.standard"}
    assert len(table.told("escalation")) == 1


def test_every_decided_field_has_a_reason(table: Any, alert: Callable[..., Alert]) -> None:
    """The opened entry and the assessment say why, with the rule that did it."""
    table.lay(alert(labels=CRITICAL))
    ((_, _, assessment),) = table.working.assessments
    judged = {"kind", "service", "impact", "urgency", "severity", "priority", "start_tier", "team"}
    assert judged <= set(assessment.fields)
    assert all(decided.reason for decided in assessment.fields.values())
    assert assessment.fields["impact"].rule == "production page"


def test_what_says_again_what_is_known_writes_nothing_but_a_count(table: Any, alert: Callable[..., Alert]) -> None:
    """The fast lane: no signal row, no timeline entry, no scoring."""
    receipt = table.lay(alert(), alert(), alert())
    assert table.working.counts[receipt] == {"opened": 1, "repeated": 2}
    assert len(table.working.signals) == 1
    assert table.working.key("alert:prometheus:k").signals == 3


def test_the_end_restores_and_resolves_by_itself(table: Any, alert: Callable[..., Alert], noon: datetime) -> None:
    """A machine's end resolves at once below P2, with a code of its own, and clocks stop."""
    table.lay(alert())
    table.lay(alert("resolved"), at=later(5, noon))
    record = table.only()
    assert (record.state, record.resolution, record.firing) == ("resolved", "self_healed", 0)
    live = [target.name for target in table.working.live_targets(record.id)]
    assert live == ["close.auto"]


def test_the_end_of_a_p1_waits_for_the_business(table: Any, alert: Callable[..., Alert], noon: datetime) -> None:
    """Restored is technical; what needs validation stays there."""
    table.lay(alert(labels=CRITICAL))
    table.lay(alert("resolved", labels=CRITICAL), at=later(5, noon))
    assert table.only().state == "restored"


def test_a_new_episode_soon_after_returns_the_record_to_work(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """Within refire_within (30 m) of its restore."""
    table.lay(alert())
    table.lay(alert("resolved"), at=later(5, noon))
    table.lay(alert(start=20), at=later(21, noon))
    record = table.only()
    assert (record.state, record.reopens, record.firing) == ("working", 1, 1)


def test_a_new_episode_long_after_opens_a_record_that_recurs(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """The new record takes the key over and names the old one."""
    table.lay(alert())
    table.lay(alert("resolved"), at=later(5, noon))
    table.lay(alert(start=60), at=later(61, noon))
    old, new = table.records()
    assert (old.state, new.state) == ("resolved", "new")
    assert [(link.start, link.end, link.relation) for link in table.working.links] == [
        (new.id, old.id, "recurrence_of")
    ]
    assert table.working.key("alert:prometheus:k").incident == new.id


def test_a_new_record_counts_its_own_signals_and_the_old_one_keeps_its(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """The key goes over without its count: that stays under a name that nothing folds by."""
    table.lay(alert(), alert(), alert())
    table.lay(alert("resolved"), at=later(5, noon))
    table.lay(alert(start=60), alert(start=60), at=later(61, noon))
    old, new = table.records()
    counted = {key.incident: 0 for key in table.working.new_keys.values()}
    for key in table.working.new_keys.values():
        counted[key.incident] += key.signals
    assert counted == {old.id: 4, new.id: 2}


def test_a_turn_that_repeats_and_then_ends_an_alert_counts_both(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """What the fast lane counted is not lost when the same turn changes the key."""
    table.lay(alert())
    working = table.working
    working.keys, working.new_keys = working.new_keys, {}  # as the next turn finds it
    table.lay(alert(), alert(), alert("resolved"), at=later(5, noon))
    assert (working.key("alert:prometheus:k").signals, working.repeats) == (4, {})


@pytest.mark.parametrize(("minutes", "records"), [(30, 1), (31, 2)])
def test_a_record_comes_back_until_refire_within_is_over(
    table: Any, alert: Callable[..., Alert], noon: datetime, minutes: int, records: int
) -> None:
    """Half an hour to the minute, from its restore."""
    table.lay(alert())
    table.lay(alert("resolved"), at=later(5, noon))
    table.lay(alert(start=20), at=later(5 + minutes, noon))
    assert len(table.records()) == records


def test_what_ended_before_it_was_known_to_begin_counts_for_the_record_it_opens(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """The count of a key of no record goes with the key."""
    table.lay(alert("resolved"))
    table.lay(alert(start=60), at=later(60, noon))
    assert table.working.key("alert:prometheus:k").signals == 2


def test_a_record_of_two_alerts_is_restored_when_both_have_ended(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """After a merge one record has the keys of two."""
    table.lay(alert(key="a"))
    table.lay(alert(key="b"))
    into, away = table.records()
    working = table.working
    lead = Author(9003, "Ben Example", frozenset({"manager"}))
    closed, here = merge(away, into=into, by=lead, at=noon, policy=working.desk.policy, reason="the same", people=())
    apply(working, here)
    apply(working, closed)
    table.lay(alert("resolved", key="a"), at=later(1, noon))
    assert (working.incident(into.id).state, working.incident(into.id).firing) == ("new", 1)
    table.lay(alert("resolved", key="b"), at=later(2, noon))
    assert (working.incident(into.id).state, working.incident(into.id).firing) == ("resolved", 0)


def test_older_words_that_come_late_are_a_repeat(table: Any, alert: Callable[..., Alert], noon: datetime) -> None:
    """The newest receipt describes the record, whichever is worked last."""
    older = next(table.receipts)
    table.lay(alert(title="disk 97 % full"), at=later(1, noon))
    take(table.working, [Arrival(older, "prometheus", noon, [alert(title="disk 91 % full")], {})])
    assert table.only().title == "disk 97 % full"


def test_a_pagerduty_key_never_reopens(table: Any, alert: Callable[..., Alert], noon: datetime) -> None:
    """A trigger after the resolve takes the key over at once; see B4."""
    table.lay(alert(start=None, reopens=False))
    table.lay(alert("resolved", start=None, reopens=False), at=later(1, noon))
    table.lay(alert(start=None, reopens=False), at=later(2, noon))
    assert [one.state for one in table.records()] == ["resolved", "new"]


def test_a_resolve_for_an_unknown_key_opens_nothing(table: Any, alert: Callable[..., Alert]) -> None:
    """Fault 59: it is remembered and answered as a success."""
    table.lay(alert("resolved"))
    assert table.records() == []
    assert table.dispositions() == ["unmatched"]


def test_the_fire_that_comes_after_its_end_opens_a_resolved_record_and_tells_nobody(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """Fault 59: late by whatever road; the record exists, nobody is woken."""
    table.lay(alert("resolved", labels=CRITICAL))
    table.lay(alert(labels=CRITICAL), at=later(1, noon))
    record = table.only()
    assert (record.state, record.resolution) == ("resolved", "self_healed")
    assert not table.working.outgoing


def test_changed_annotations_refresh_the_record(table: Any, alert: Callable[..., Alert], noon: datetime) -> None:
    """The same episode with new words: the record shows the newest."""
    table.lay(alert(title="disk 91 % full"))
    table.lay(alert(title="disk 97 % full"), at=later(1, noon))
    assert table.only().title == "disk 97 % full"
    assert table.dispositions() == ["opened", "folded"]


def test_a_stronger_hint_raises_the_priority(table: Any, alert: Callable[..., Alert], noon: datetime) -> None:
    """A machine raises and never lowers."""
    table.lay(alert(hint="sev4"))
    first = table.only().priority
    table.lay(alert(hint="sev1"), at=later(1, noon))
    assert first == "P4"
    assert table.only().priority == "P1"
    table.lay(alert(hint="sev4"), at=later(2, noon))
    assert table.only().priority == "P1"


def test_an_acknowledgement_by_a_machine_stops_escalation_and_assigns_nobody(
    table: Any, alert: Callable[..., Alert], noon: datetime
) -> None:
    """Rule 4: an ack sets acknowledged_at; only a person's sets the assignee."""
    table.lay(alert(labels=CRITICAL))
    table.lay(alert("acknowledged", labels=CRITICAL), at=later(1, noon))
    record = table.only()
    assert record.acknowledged_at == later(1, noon)
    assert record.assignee is None
    assert not table.working.live_targets(record.id, "escalation.")


def test_an_item_that_could_not_be_read_is_kept_as_refused(table: Any, alert: Callable[..., Alert]) -> None:
    """Fault 52: one bad alert does not lose the others, and is not lost itself."""
    table.lay(alert(), Refused("alerts[1].labels", "labels must be an object"))
    assert table.dispositions() == ["opened", "refused"]


def test_a_fault_of_the_rules_costs_no_record(
    make_desk: Callable[..., Desk], alert: Callable[..., Alert], table: Any
) -> None:
    """G12: it opens all the same, with the start values, at the catch-all's first team, and says so."""

    def fails(asked: Any) -> Any:
        raise RuntimeError(asked)

    policy = table.working.desk.policy
    broken = replace(policy, questions=replace(policy.questions, judge=fails))
    opened = type(table)(Working(make_desk(broken), table.working.ids, table.working.now))
    opened.lay(alert(labels=CRITICAL))
    record = opened.only()
    assert (record.priority, record.service, record.team) == ("P3", "everything else", "service-desk")
    assert record.needs_person
    ((_, _, assessment),) = opened.working.assessments
    assert "failed" in assessment.fields["service"].reason


def test_pages_beyond_the_budget_come_together_in_one_notice(table: Any, alert: Callable[..., Alert]) -> None:
    """G8: never dropped, told in one; the rows say which notice tells them."""
    for number in range(25):
        table.lay(alert(key=f"k{number}", labels=CRITICAL))
    rows = list(table.working.outgoing.values())
    (notice,) = [one for one in rows if one.kind == "notice"]
    collapsed = [one for one in rows if one.state == "collapsed"]
    assert len(table.told("escalation")) == 10
    assert len(collapsed) == 15
    assert {one.notice for one in collapsed} == {notice.id}
    assert table.working.notice_members[notice.id] == 15
    assert (notice.next_at or notice.created_at) - notice.created_at <= timedelta(seconds=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_of_the_same_signals_ends_the_same(
    data: st.DataObject, make_desk: Callable[..., Desk], alert: Callable[..., Alert], table: Any
) -> None:
    """Faults 59 and 60: after any permutation a thing fires if and only if its newest episode was not ended."""
    one = st.tuples(st.sampled_from(["firing", "resolved"]), st.integers(0, 2))
    said = data.draw(st.lists(one, min_size=1, max_size=6))
    working = Working(make_desk(), table.working.ids, table.working.now)
    fresh = type(table)(working)
    for number, (status, start) in enumerate(data.draw(st.permutations(said))):
        fresh.lay(alert(status, start=start * 10), at=later(30 + number, working.now))
    newest = max(start for _, start in said)
    over = ("resolved", newest) in said
    key = working.key("alert:prometheus:k")
    assert key is not None
    assert key.status == ("resolved" if over else "firing")
    current = working.incidents.get(key.incident or 0)
    if current is not None:
        assert current.is_open is not over
        assert current.firing == (0 if over else 1)
