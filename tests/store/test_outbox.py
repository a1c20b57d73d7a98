"""The outbox's rows: what a mail is told from, verdicts that are fenced, and escalations that a dead page moves on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from incidents.effects import OutboxState, Outgoing
from incidents.incident import Incident
from incidents.targets import Target
from kit.instants import to_micros
from store.bulk import insert_rows
from store.claims import Lease, claim_outbox
from store.engine import Store
from store.outbox import (
    Delivery,
    Verdict,
    escalate_at_once,
    keep_deliveries,
    keep_verdicts,
    load_stories,
    outgoing_of,
    overtaken,
)
from store.rows import incident_row, outgoing_row, target_row
from store.tables.incidents import incidents
from store.tables.outbox import deliveries, outbox
from store.tables.people import people
from store.tables.targets import targets
from store.tables.timeline import timeline, timeline_values

NOW = datetime(2026, 11, 24, 9, 7, tzinfo=UTC)
LEASE = Lease("a", NOW, timedelta(seconds=60))
INCIDENT = Incident(
    1, 1042, "incident", "Label printers", "working", "service_desk", NOW, NOW, "support", "P3", "sev3", "medium",
    "medium", 1, labels={"site": "north"},
)  # fmt: skip


def row(number: int, kind: str = "status", **changes: Any) -> Outgoing:
    out = Outgoing(
        number, 1, kind, 7, "ana@example.com", 3, f"t.{number}@d7k2.example.com", {}, "waiting", NOW, NOW,
        NOW + timedelta(days=5),
    )  # fmt: skip
    return replace(out, **changes)


def put(connection: Connection, *rows: Outgoing) -> None:
    insert_rows(connection, outbox, [outgoing_row(one) for one in rows])


def put_record(connection: Connection, incident: Incident) -> None:
    insert_rows(connection, incidents, [
        incident_row(incident, number=incident.number, version=0, updated_at=NOW, head=(0, b"\x00" * 32))
    ])  # fmt: skip


def claim(connection: Connection, state: str = "waiting") -> list[Outgoing]:
    return [outgoing_of(one) for one in claim_outbox(connection, LEASE, state=state, limit=100)]


def state_of(store: Store, number: int) -> Any:
    with store.reading() as connection:
        return connection.execute(select(outbox).where(outbox.c.id == number)).one()


def test_a_row_comes_back_as_it_was_put(store: Store) -> None:
    facts = {"event": "resolved", "text": "fällt"}
    out = row(1, facts=facts, reason="r", notice=9, members=2, attempts=1, body=b"\x00x")
    with store.writing() as connection:
        put(connection, out)
        [found] = connection.execute(select(outbox))
    assert outgoing_of(found) == out


def test_a_story_has_the_record_the_person_and_the_words_of_a_reply(store: Store) -> None:
    with store.writing() as connection:
        put_record(connection, INCIDENT)
        connection.execute(insert(people).values(id=7, name="Ana Example", handle=None))
        connection.execute(insert(people).values(id=8, name="Ben Example", handle="ben"))
        entry = {"subject": 1, "occurred_at": 0, "recorded_at": 0, "kind": "message_out", "leaves": "{}", "hash": b"h"}
        for seq in (4, 5):
            connection.execute(insert(timeline).values(seq=seq, author=8, **entry))
        said = {"text": ["ab" * 16, "It prints."], "to": ["cd" * 16, [7]]}
        connection.execute(insert(timeline_values).values({"subject": 1, "seq": 4, "values": json.dumps(said)}))
        gone = {"text": {"erased_at": "2026-11-24", "reason": "asked for"}}
        connection.execute(insert(timeline_values).values({"subject": 1, "seq": 5, "values": json.dumps(gone)}))
    told = [row(1, "reply", facts={"entry": 4}), row(2, "reply", facts={"entry": 5}), row(3, person=99, subject=None)]
    with store.reading() as connection:
        stories = load_stories(connection, told)
    assert stories[1].incident == INCIDENT
    assert (stories[1].person.name, stories[1].text, stories[1].author) == ("Ana Example", "It prints.", "Ben Example")
    assert (stories[2].text, stories[2].author) == ("", "Ben Example")
    assert (stories[3].person.name, stories[3].incident) == ("", None)


def test_a_notice_tells_its_pages_critical_ones_first(store: Store) -> None:
    notice = row(50, "notice", subject=None, members=3)
    with store.writing() as connection:
        put_record(connection, INCIDENT)
        request = replace(INCIDENT, id=2, number=1043, kind="service_request", priority="P1", title="Access")
        put_record(connection, request)
        pages = [
            row(n, "escalation", subject=record, notice=50, state="collapsed", next_at=None)
            for n, record in ((1, 1), (2, 2), (3, 1))
        ]
        put(connection, notice, *pages)
    with store.reading() as connection:
        story = load_stories(connection, [notice])[50]
    assert [(page.record, page.ref, page.priority, page.title) for page in story.pages] == [
        (2, "REQ-1043", "P1", "Access"), (1, "INC-1042", "P3", "Label printers"),
    ]  # fmt: skip
    assert story.members == 3


def test_bytes_and_state_are_kept_together_and_the_lease_ends(store: Store) -> None:
    with store.writing() as connection:
        put(connection, row(1), row(2))
        verdicts = [
            Verdict(claimed, OutboxState.READY, next_at=NOW, body=b"mail") if claimed.id == 1
            else Verdict(claimed, OutboxState.DEAD, reason="too_long")
            for claimed in claim(connection)
        ]  # fmt: skip
        assert keep_verdicts(connection, "a", verdicts) == 2
    ready, dead = state_of(store, 1), state_of(store, 2)
    assert (ready.state, bytes(ready.bytes), ready.next_at) == ("ready", b"mail", to_micros(NOW))
    assert (dead.state, dead.reason, dead.bytes, dead.next_at) == ("dead", "too_long", None, None)
    assert ready.lease_owner is dead.lease_owner is None


def test_a_verdict_on_somebody_elses_row_changes_nothing(store: Store) -> None:
    with store.writing() as connection:
        put(connection, row(1))
        [claimed] = claim(connection)
        assert keep_verdicts(connection, "b", [Verdict(claimed, OutboxState.DELIVERED)]) == 0
    assert (state_of(store, 1).state, state_of(store, 1).lease_owner) == ("waiting", "a")


def test_a_notice_that_grew_while_it_was_composed_is_composed_again(store: Store) -> None:
    """G8: no page is dropped."""
    with store.writing() as connection:
        put(connection, row(1, "notice", subject=None, members=2))
        [claimed] = claim(connection)
        connection.execute(outbox.update().values(members=3))
        assert keep_verdicts(connection, "a", [Verdict(claimed, OutboxState.READY, next_at=NOW, body=b"2")]) == 0
        [again] = claim(connection)
        assert keep_verdicts(connection, "a", [Verdict(again, OutboxState.READY, next_at=NOW, body=b"3")]) == 1
    assert bytes(state_of(store, 1).bytes) == b"3"


def test_attempts_to_hand_over_are_kept_with_their_results(store: Store) -> None:
    with store.writing() as connection:
        results = [Delivery(1, "delayed", "451", "a\x00b"), Delivery(1, "delivered", "250", "ok")]
        keep_deliveries(connection, results, NOW)
    with store.reading() as connection:
        found = connection.execute(select(deliveries).order_by(deliveries.c.id)).all()
    assert [(one.outbox, one.outcome, one.code, one.text) for one in found] == [
        (1, "delayed", "451", "a\ufffdb"), (1, "delivered", "250", "ok"),
    ]  # fmt: skip


def test_newer_news_overtakes_older_of_which_nothing_was_sent(store: Store) -> None:
    """Fault 81."""
    later = NOW + timedelta(minutes=5)
    rows = [
        row(1), row(2, person=8), row(3, subject=2), row(4, attempts=1), row(5, "reply"),
        row(6, created_at=later), row(7, created_at=later, subject=2, state="suppressed"),
    ]  # fmt: skip
    with store.writing() as connection:
        put(connection, *rows)
    with store.reading() as connection:
        assert overtaken(connection, rows) == {1}


# ---------------------------------------------------------------------- escalation


def page(number: int, step: int = 1, **changes: Any) -> Outgoing:
    return row(number, "escalation", facts={"path": "standard", "step": step}, **changes)


def put_escalation(connection: Connection, step: int = 1) -> None:
    due_at = NOW + timedelta(minutes=10)
    target = Target(900, 1, "escalation.standard", "running", NOW, due_at, due_at, timedelta(0), step=step)
    insert_rows(connection, targets, [target_row(target)])


def next_at(store: Store) -> int:
    with store.reading() as connection:
        return int(connection.execute(select(targets.c.next_at)).scalar_one())


LATER = NOW + timedelta(minutes=1)


def test_a_page_that_reached_nobody_moves_the_escalation_on_at_once(store: Store) -> None:
    """Faults 76 and 79."""
    with store.writing() as connection:
        put_escalation(connection)
        put(connection, page(1, state="dead", next_at=None), page(2, state="dead", next_at=None))
        assert escalate_at_once(connection, [page(1), page(2)], LATER) == 1
    assert next_at(store) == to_micros(LATER)


@pytest.mark.parametrize(
    ("dead", "other", "step"),
    [
        pytest.param(page(1), page(2, state="delivered"), 1, id="another page of the step reached somebody"),
        pytest.param(page(1), page(2, state="ready"), 1, id="another page of the step is on its way"),
        pytest.param(page(1), page(2, state="dead"), 2, id="the next step was told meanwhile"),
        pytest.param(row(1), page(2, state="dead"), 1, id="it was no page"),
        pytest.param(row(1, "escalation"), page(2, state="dead"), 1, id="the page does not say its step"),
    ],
)
def test_an_escalation_keeps_its_pace_otherwise(store: Store, dead: Outgoing, other: Outgoing, step: int) -> None:
    with store.writing() as connection:
        put_escalation(connection, step)
        put(connection, replace(dead, state="dead"), other)
        assert escalate_at_once(connection, [dead], LATER) == 0
    assert next_at(store) == to_micros(NOW + timedelta(minutes=10))
