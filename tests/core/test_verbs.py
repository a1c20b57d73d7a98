"""What people do to a record: each verb checks lifecycle and role, and writes the timeline in the same change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from desk.acknowledge import acknowledge
from desk.apply import apply
from desk.assign import assign
from desk.change import Change
from desk.close import close, merge
from desk.errors import DeskError, Invalid, Missing, NoSuchMove, NotAllowed
from desk.note import note
from desk.override import override
from desk.reopen import reopen
from desk.reply import reply
from desk.restore import Resolution, resolve, restore
from desk.wait import resume, wait
from incidents.incident import Incident
from incidents.person import Author, Person
from incidents.signal import Alert, Mail
from rules.policy import Policy

PACK = Path(__file__).parents[2] / "rules" / "packs" / "lean"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
AGENT = Author(9002, "Ben Example", frozenset({"agent"}), team="service-desk")
MANAGER = Author(9003, "Chloe Example", frozenset({"manager"}), team="service-desk")
NOBODY = Author(9004, "Eve Example", frozenset(), team=None)
ANN = Person(77, "Ann Example", address="ann@example.com")
NOTES = {"symptom": "blank pages", "cause": "no toner", "fix": "new toner", "check": "a test page"}
SOLVED = Resolution(NOTES)


@pytest.fixture
def record(table: Any, mail: Callable[..., Mail]) -> Incident:
    table.lay(mail("Something is odd", text="It does odd things."))
    return table.only()  # type: ignore[no-any-return]


@pytest.fixture
def urgent(table: Any, alert: Callable[..., Alert]) -> Incident:
    table.lay(alert(labels={"severity": "critical", "env": "prod"}))
    return table.only()  # type: ignore[no-any-return]


def ack(incident: Incident, policy: Policy, by: Author = AGENT) -> Change | None:
    return acknowledge(incident, by=by, at=NOON, policy=policy, assignable=True, channel="cli")


def test_acknowledging_takes_a_new_record_and_stops_who_waits(table: Any, urgent: Incident, policy: Policy) -> None:
    """The first person also becomes the assignee; respond is met, escalation is over."""
    change = ack(urgent, policy)
    assert change is not None
    taken = apply(table.working, change)
    assert (taken.acknowledged_by, taken.assignee, taken.state) == (AGENT.person, AGENT.person, "working")
    names = {target.name for target in table.working.live_targets(taken.id)}
    assert names == {"sla.restore", "sla.resolve"}


def test_a_second_acknowledgement_changes_nothing(table: Any, record: Incident, policy: Policy) -> None:
    first = ack(record, policy)
    assert first is not None
    assert ack(apply(table.working, first), policy, by=MANAGER) is None


def test_who_has_no_role_is_told_which_is_missing(record: Incident, policy: Policy) -> None:
    """Every refusal names the role."""
    with pytest.raises(NotAllowed, match="agent"):
        note(record, by=NOBODY, at=NOON, policy=policy, text="hello")


def test_assigning_to_another_team_moves_the_record(record: Incident, policy: Policy) -> None:
    """It keeps one owner, and what was a person's there is nobody's yet."""
    moved = assign(
        replace(record, assignee=5), by=MANAGER, at=NOON, policy=policy, to=None, team="platform"
    )
    assert (moved.incident.team, moved.incident.tier, moved.incident.assignee) == ("platform", 2, None)
    assert [entry.kind for entry in moved.entries] == ["moved"]


def test_a_team_that_is_not_there_is_named_with_those_that_are(record: Incident, policy: Policy) -> None:
    with pytest.raises(Invalid, match="service-desk"):
        assign(record, by=MANAGER, at=NOON, policy=policy, to=None, team="plattform")


def test_a_reply_goes_to_people_and_meets_respond(table: Any, record: Incident, policy: Policy) -> None:
    """The first human public message counts as a response."""
    change = reply(record, by=AGENT, at=NOON, policy=policy, text="Try this.", to=[ANN], next_seq=3)
    apply(table.working, change)
    assert table.told("reply") == ["ann@example.com"]
    assert "sla.respond" not in {target.name for target in table.working.live_targets(record.id)}


def test_a_reply_to_nobody_says_what_to_do(record: Incident, policy: Policy) -> None:
    with pytest.raises(Missing, match="note"):
        reply(record, by=AGENT, at=NOON, policy=policy, text="Hello?", to=[], next_seq=3)


@pytest.mark.parametrize("field", ["priority", "impact", "urgency", "severity"])
def test_a_judged_field_changes_only_with_a_reason_of_substance(record: Incident, policy: Policy, field: str) -> None:
    """M3.3: at least 15 characters, kept with before, after and what the rules said."""
    value = {"priority": "P2", "severity": "sev2"}.get(field, "high")
    with pytest.raises(Missing, match="15"):
        override(record, by=MANAGER, at=NOON, policy=policy, field=field, value=value, justification="why", before={})
    change = override(
        record, by=MANAGER, at=NOON, policy=policy, field=field, value=value,
        justification="the whole floor stands still", before={},
    )  # fmt: skip
    (entry,) = change.entries
    assert entry.values["before"] == getattr(record, field)
    assert entry.values["after"] == value
    assert change.assessment is not None


def test_impact_and_urgency_give_a_new_priority_by_the_matrix(record: Incident, policy: Policy) -> None:
    changed = override(
        record, by=MANAGER, at=NOON, policy=policy, field="impact", value="high",
        justification="the whole floor stands still", before={},
    ).incident  # fmt: skip
    assert (record.priority, changed.priority) == ("P3", "P2")


def test_a_word_that_is_no_priority_is_answered_with_those_that_are(record: Incident, policy: Policy) -> None:
    with pytest.raises(Invalid, match="P1, P2, P3, P4, P5"):
        override(
            record, by=MANAGER, at=NOON, policy=policy, field="priority", value="P0",
            justification="the whole floor stands still", before={},
        )  # fmt: skip


def test_a_category_that_is_none_of_policy_is_answered_with_the_nearest(record: Incident, policy: Policy) -> None:
    with pytest.raises(Invalid, match=r"did you mean hardware\.printer"):
        override(
            record, by=MANAGER, at=NOON, policy=policy, field="category", value="hardware.printr", justification="",
            before={},
        )  # fmt: skip


@pytest.mark.parametrize("verb", ["ack", "assign", "note", "reply", "set", "wait", "resume", "restore", "reopen",
                                  "close", "merge"])  # fmt: skip
def test_every_verb_records_whom_an_operator_acts_for(record: Incident, policy: Policy, verb: str) -> None:
    """``--as HANDLE`` is recorded beside the author, whatever is done."""
    by = Author(1, "cli:root", frozenset({"admin"}), acting_as="ana")
    how: dict[str, Any] = {"by": by, "at": NOON, "policy": policy}
    taken = replace(record, state="working", assignee=5)
    verbs: dict[str, Callable[[], Change | None]] = {
        "ack": lambda: acknowledge(record, **how, assignable=False, channel="cli"),
        "assign": lambda: assign(record, **how, to=None, team="platform"),
        "note": lambda: note(record, **how, text="x"),
        "reply": lambda: reply(record, **how, text="x", to=[ANN], next_seq=1),
        "set": lambda: override(record, **how, field="title", value="x", justification="", before={}),
        "wait": lambda: wait(taken, **how, on="customer", reason="x"),
        "resume": lambda: resume(replace(taken, state="waiting_customer"), **how, reason="x"),
        "restore": lambda: restore(taken, **how, text="x"),
        "reopen": lambda: reopen(replace(taken, state="restored"), **how, reason="x", promises=[]),
        "close": lambda: close(taken, **how, reason="x"),
        "merge": lambda: merge(taken, into=replace(taken, id=99), **how, reason="x", people=())[0],
    }
    change = verbs[verb]()
    assert change is not None
    assert {entry.values["acting_as"] for entry in change.entries} == {"ana"}


def test_a_wait_ends_only_where_the_lifecycle_lets_it(record: Incident, load_with: Any) -> None:
    lifecycle = (PACK / "lifecycle.yml").read_text()
    strict = load_with({"lifecycle.yml": lifecycle.replace("waiting_* -> working, restored", "waiting_* -> restored")})
    assert strict.policy is not None, strict.problems
    with pytest.raises(NoSuchMove, match="can become"):
        resume(replace(record, state="waiting_vendor"), by=AGENT, at=NOON, policy=strict.policy, reason="x")


def test_waiting_stops_the_promised_clocks_and_the_end_of_it_starts_them(
    table: Any, record: Incident, policy: Policy
) -> None:
    """What is left stays left: the due instant moves by the time that it waited, and the timeline says so."""
    waiting = apply(
        table.working, wait(record, by=AGENT, at=NOON, policy=policy, on="customer", reason="asked for a photo")
    )
    before = {target.name: target.due_at for target in table.working.live_targets(record.id, "sla.")}
    assert {target.state for target in table.working.live_targets(record.id, "sla.")} == {"paused"}
    over = NOON + timedelta(hours=2)
    apply(table.working, resume(waiting, by=AGENT, at=over, policy=policy, reason="it came"))
    after = {target.name: target.due_at for target in table.working.live_targets(record.id, "sla.")}
    assert after == {name: due_at + timedelta(hours=2) for name, due_at in before.items()}
    assert table.entries(record.id).count("target") == len(before)


def test_waiting_on_a_vendor_needs_his_number_and_his_word(record: Incident, policy: Policy) -> None:
    with pytest.raises(Missing, match="vendor_reference, vendor_promise"):
        wait(record, by=AGENT, at=NOON, policy=policy, on="vendor", reason="they look into it")


def test_resolving_needs_the_four_notes(record: Incident, policy: Policy) -> None:
    """Symptom, cause, fix and check; a request needs its fix alone."""
    taken = replace(record, state="working", assignee=AGENT.person)
    with pytest.raises(Missing, match="cause"):
        resolve(taken, by=AGENT, at=NOON, policy=policy, resolution=Resolution({"symptom": "x"}), to=[])
    solved = resolve(taken, by=AGENT, at=NOON, policy=policy, resolution=SOLVED, to=[ANN]).incident
    assert (solved.state, solved.restored_at, solved.resolved_at) == ("resolved", NOON, NOON)
    request = replace(taken, kind="service_request")
    done = resolve(request, by=AGENT, at=NOON, policy=policy, resolution=Resolution({"fix": "a mouse"}), to=[])
    assert done.incident.state == "resolved"


def test_what_the_business_must_confirm_needs_a_managers_waiver(urgent: Incident, policy: Policy) -> None:
    """P1 and P2 wait for the business owner; a manager may waive that, with a reason."""
    taken = replace(urgent, state="working", assignee=AGENT.person, team="service-desk")
    waived = replace(SOLVED, waive="the owner is on holiday until Monday")
    with pytest.raises(NotAllowed, match="--waive"):
        resolve(taken, by=AGENT, at=NOON, policy=policy, resolution=SOLVED, to=[])
    with pytest.raises(NotAllowed, match="manager"):
        resolve(taken, by=AGENT, at=NOON, policy=policy, resolution=waived, to=[])
    assert resolve(taken, by=MANAGER, at=NOON, policy=policy, resolution=waived, to=[]).incident.state == "resolved"


def test_restored_is_told_to_the_requester_and_stops_escalation(table: Any, urgent: Incident, policy: Policy) -> None:
    taken = replace(urgent, state="working", assignee=AGENT.person)
    apply(table.working, restore(taken, by=AGENT, at=NOON, policy=policy, text="restarted", to=[ANN]))
    assert table.told("status") == ["ann@example.com"]
    assert not table.working.live_targets(urgent.id, "escalation.")


def test_reopening_undoes_the_end_and_promises_anew(table: Any, record: Incident, policy: Policy) -> None:
    taken = replace(record, state="working", assignee=AGENT.person)
    solved = apply(table.working, resolve(taken, by=AGENT, at=NOON, policy=policy, resolution=SOLVED, to=[]))
    back = apply(
        table.working, reopen(solved, by=AGENT, at=NOON, policy=policy, reason="not yet", promises=[])
    )
    assert (back.state, back.resolved_at, back.reopens) == ("working", None, 1)
    assert "close.auto" not in {target.name for target in table.working.live_targets(record.id)}


def test_a_move_that_the_lifecycle_has_not_names_those_it_has(record: Incident, policy: Policy) -> None:
    with pytest.raises(NoSuchMove, match="can become working"):
        restore(replace(record, state="closed"), by=MANAGER, at=NOON, policy=policy, text="x")


@pytest.mark.parametrize(("late", "allowed"), [(timedelta(), True), (timedelta(microseconds=1), False)])
def test_a_closed_record_comes_back_within_its_time(
    record: Incident, policy: Policy, late: timedelta, allowed: bool  # noqa: FBT001 - a table's column
) -> None:
    """Fourteen days to the instant, from its close."""
    closed = replace(record, state="closed", closed_at=NOON - timedelta(days=14) - late)
    if allowed:
        assert reopen(closed, by=AGENT, at=NOON, policy=policy, reason="x", promises=[]).incident.state == "working"
    else:
        with pytest.raises(NoSuchMove, match="longer than policy allows"):
            reopen(closed, by=AGENT, at=NOON, policy=policy, reason="x", promises=[])


def test_closing_by_hand_is_for_those_whom_the_lifecycle_names(record: Incident, policy: Policy) -> None:
    """A mistake or spam: a lead, a manager or an admin says so."""
    taken = replace(record, state="working")
    with pytest.raises(NotAllowed, match="lead"):
        close(taken, by=AGENT, at=NOON, policy=policy, reason="spam")
    assert close(taken, by=MANAGER, at=NOON, policy=policy, reason="spam").incident.state == "closed"


def test_merging_moves_keys_and_people_and_closes_as_duplicate(
    table: Any, record: Incident, mail: Callable[..., Mail], policy: Policy
) -> None:
    """The merged one is closed as duplicate_of; what comes later finds the other."""
    table.lay(mail("The same odd thing", sender="bob@example.com", message_id="2@example.org"))
    first, second = table.records()
    assert first.id == record.id
    people = {*table.working.participants[second.id], (77, "", "watcher"), (5, "", "agent")}
    away, here = merge(
        second, into=first, by=MANAGER, at=NOON, policy=policy, reason="the same printer", people=people
    )
    apply(table.working, here)
    taking_part = table.working.participants[first.id]
    assert {(second.requester, "", "watcher"), (77, "", "watcher"), (5, "", "agent")} <= taking_part
    closed = apply(table.working, away)
    assert (closed.state, closed.resolution) == ("closed", "duplicate")
    assert table.working.moved_keys == [(second.id, first.id)]
    assert table.working.incident(second.id).id == first.id
    table.lay(mail("Re: odd", sender="bob@example.com", in_reply_to="2@example.org"))
    assert [signal.incident for signal in table.working.signals][-1] == first.id


def test_what_was_merged_twice_is_found_where_it_went(table: Any, record: Incident) -> None:
    """A chain of merges ends at the record that stays."""
    table.working.merged_into.update({7: 8, 8: 9, 9: record.id})
    assert table.working.incident(7).id == record.id


def test_a_record_cannot_be_merged_into_itself(record: Incident, policy: Policy) -> None:
    with pytest.raises(DeskError, match="itself"):
        merge(record, into=record, by=MANAGER, at=NOON, policy=policy, reason="x", people=())
