"""What people read of the store: the queue in order, page by page, with nothing lost between two pages."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from daemon.desks import operator
from incidents.person import Author
from kit.instants import to_micros
from store.engine import Store
from store.listing.incidents import (
    IncidentLine,
    Wanted,
    all_assessments,
    find_incident,
    list_incidents,
    refs_of,
    show_incident,
)
from store.listing.outbox import list_outbox, show_notification
from store.listing.pages import BadCursor, Page
from store.listing.people import people_by_id
from store.listing.signals import Asked, list_signals, show_receipt, show_signal, signals_of
from store.listing.timeline import list_timeline
from store.tables.receipts import receipts
from store.tables.timeline import timeline_values


def _payload(*names: str, status: str = "firing", **labels: str) -> bytes:
    ended = "2026-11-23T11:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    alerts = [
        {
            "status": status, "labels": {"alertname": name, **labels}, "annotations": {},
            "startsAt": "2026-11-23T11:00:00Z", "endsAt": ended, "fingerprint": name.encode().hex().zfill(16)[:16],
        }
        for name in names
    ]  # fmt: skip
    return json.dumps({"version": "4", "groupKey": "{}", "status": status, "alerts": alerts}).encode()


def _queue(store: Store, wanted: Wanted | None = None, *, limit: int = 50) -> list[IncidentLine]:
    """All pages of the queue, read one after another."""
    lines: list[IncidentLine] = []
    cursor = None
    while True:
        with store.reading() as connection:
            page: Page[IncidentLine] = list_incidents(connection, wanted or Wanted(), limit=limit, cursor=cursor)
        lines += page.items
        cursor = page.next
        if cursor is None:
            return lines


def _titles(lines: list[IncidentLine]) -> list[str]:
    return [line.incident.title for line in lines]


@pytest.fixture
def admin(running: Any) -> Author:
    return operator(running.store, "test")


def test_what_has_to_happen_first_stands_first(running: Any) -> None:
    running.post(_payload("Warm", severity="warning"))
    running.work()
    running.wait(minutes=1)
    running.post(_payload("Hot", severity="critical", env="prod"))
    running.work()
    lines = _queue(running.store)
    assert _titles(lines) == ["Hot", "Warm"]
    due = [line.due.due_at for line in lines if line.due is not None]
    assert due == sorted(due)
    assert lines[0].due is not None
    assert lines[0].due.name == "sla.respond"


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_of_any_size_give_every_record_once(running: Any, admin: Author, limit: int) -> None:
    """Also among records with the same clock, and those with none."""
    running.post(_payload("a", "b", "c", "d", severity="critical"))
    running.post(_payload("e", "f", severity="info"))
    running.work()
    for ref in ("INC-1001", "INC-1005"):
        running.acts.close(ref, by=admin, now=running.now, reason="no work")
    whole = _queue(running.store, Wanted(()))
    assert len(whole) == 6
    assert _titles(_queue(running.store, Wanted(()), limit=limit)) == _titles(whole)


def test_what_is_over_is_not_in_the_queue(running: Any, admin: Author) -> None:
    running.post(_payload("a", "b", severity="critical"))
    running.work()
    running.acts.close("INC-1001", by=admin, now=running.now, reason="no work")
    assert len(_queue(running.store)) == 1
    assert [line.incident.ref for line in _queue(running.store, Wanted(("closed",)))] == ["INC-1001"]


def test_the_queue_is_asked_by_team_and_priority(running: Any, admin: Author) -> None:
    running.post(_payload("a", "b"))
    running.work()
    running.acts.assign("INC-1001", by=admin, now=running.now, to=None, team="payments")
    running.acts.set(
        "INC-1002", by=admin, now=running.now, field="priority", value="P1", justification="all the shops stand still"
    )
    assert [line.incident.ref for line in _queue(running.store, Wanted(team="payments"))] == ["INC-1001"]
    assert [line.incident.ref for line in _queue(running.store, Wanted(priority="P1"))] == ["INC-1002"]


def test_a_stopped_clock_is_not_the_next_one(running: Any, admin: Author) -> None:
    running.post(_payload("a"))
    running.work()
    running.acts.wait(
        "INC-1001", by=admin, now=running.now, on="customer", reason="asked", reference=None, promise=None
    )
    (line,) = _queue(running.store)
    assert line.promises
    assert (line.due is None) == (line.promises[0].state == "paused")


def test_a_cursor_that_no_list_gave_is_refused(running: Any) -> None:
    for cursor in ("x", "!!!", "WzFd", "bnVsbA"):
        with running.store.reading() as connection, pytest.raises(BadCursor):
            list_incidents(connection, Wanted(), limit=5, cursor=cursor)


def test_repeats_count_as_signals_of_their_record(running: Any) -> None:
    for _ in range(5):
        running.post(_payload("a"))
        running.work()
    (line,) = _queue(running.store)
    assert line.signals == 5


def test_one_record_is_shown_with_all_that_hangs_on_it(running: Any, admin: Author) -> None:
    opened = running.acts.open(
        by=admin, now=running.now, title="Checkout is slow", text="Since noon", requester="kim@example.org",
        fields={"service": "checkout"},
    )  # fmt: skip
    other = running.acts.open(by=admin, now=running.now, title="Again", text="", requester=None, fields={})
    running.acts.acknowledge(opened.ref, by=admin, now=running.now, channel="cli")
    running.acts.merge(other.ref, into=opened.ref, by=admin, now=running.now, reason="the same")
    with running.store.reading() as connection:
        shown = show_incident(connection, opened.number)
        assert show_incident(connection, 9) is None
        assert find_incident(connection, 9) is None
        assert refs_of(connection, [opened.id, other.id, 0]) == {opened.id: opened.ref, other.id: other.ref}
    assert shown is not None
    assert shown.line.requester is not None
    assert shown.line.requester.address == "kim@example.org"
    assert shown.acknowledged_by is not None
    assert shown.acknowledged_by.handle == "cli:test"
    assert [(link.relation, link.ref, link.outward) for link in shown.related] == [("duplicate_of", other.ref, False)]
    assert {taking.role for taking in shown.people} == {"requester"}
    assert {target.name for target in shown.targets} >= {"sla.respond", "sla.resolve"}


def test_every_judgement_is_kept_in_order(running: Any, admin: Author) -> None:
    running.post(_payload("a"))
    running.work()
    running.wait(minutes=1)
    changed = running.acts.set(
        "INC-1001", by=admin, now=running.now, field="impact", value="high", justification="all the shops stand still"
    )
    with running.store.reading() as connection:
        first, second = all_assessments(connection, changed.id)
    assert first.at < second.at
    assert second.value("impact") == "high"


def test_a_timeline_stands_in_the_order_in_which_things_happened(running: Any, admin: Author) -> None:
    running.post(_payload("a"))
    running.wait(minutes=10)
    running.work()
    running.acts.note("INC-1001", by=admin, now=running.now, text="looked at it")
    with running.store.reading() as connection:
        incident = find_incident(connection, 1001)
        assert incident is not None
        entries = list_timeline(connection, incident.id)
    assert [(entry.occurred_at, entry.seq) for entry in entries] == sorted(
        (entry.occurred_at, entry.seq) for entry in entries
    )
    assert entries[0].kind == "opened"
    assert entries[0].late
    assert entries[0].author.handle == "source:prometheus"
    assert (entries[-1].kind, entries[-1].values["text"], entries[-1].late) == ("note", "looked at it", False)


def test_an_erased_value_is_told_as_erased(running: Any, admin: Author) -> None:
    opened = running.acts.open(by=admin, now=running.now, title="a", text="private", requester=None, fields={})
    where = (timeline_values.c.subject == opened.id, timeline_values.c.seq == 1)
    erased = {"text": {"erased_at": "2026-11-24T08:00:00.000000Z", "reason": "asked to"}}
    with running.store.writing() as connection:
        connection.execute(update(timeline_values).where(*where).values(values=json.dumps(erased)))
    with running.store.reading() as connection:
        entry = list_timeline(connection, opened.id)[0]
    assert "text" not in entry.values
    assert entry.erased["text"]["reason"] == "asked to"


def _signals(store: Store, asked: Asked | None = None, *, limit: int = 50) -> list[str]:
    names: list[str] = []
    cursor = None
    while True:
        with store.reading() as connection:
            page = list_signals(connection, asked or Asked(), limit=limit, cursor=cursor)
        names += [line.name for line in page.items]
        cursor = page.next
        if cursor is None:
            return names


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_signals_and_receipts_without_any_stand_in_one_list(running: Any, limit: int) -> None:
    running.post(_payload("a", "b"))
    running.work()
    running.post(b"nonsense", format="json")
    running.work()
    running.post(_payload("c"))
    running.post(_payload("d"))
    names = _signals(running.store, limit=limit)
    assert len(names) == len(set(names)) == 5  # two signals, one in quarantine, two that wait
    assert names[:3] == ["receipt:4", "receipt:3", "receipt:2"]


def test_signals_are_asked_by_state_disposition_and_record(running: Any) -> None:
    running.post(_payload("a", "b"))
    running.post(_payload("nothing", status="resolved"))
    running.work()
    running.post(_payload("c"))
    with running.store.reading() as connection:
        incident = find_incident(connection, 1001)
    assert incident is not None
    assert _signals(running.store, Asked(state="waiting")) == ["receipt:3"]
    assert len(_signals(running.store, Asked(state="worked"))) == 3
    assert len(_signals(running.store, Asked(disposition="opened"))) == 2
    assert len(_signals(running.store, Asked(disposition="unmatched"))) == 1
    assert len(_signals(running.store, Asked(incident=incident.id))) == 1


def test_a_discarded_receipt_is_listed_under_its_verdict(running: Any) -> None:
    running.post(_payload("a"))
    with running.store.writing() as connection:
        connection.execute(update(receipts).values(state="discarded", counts='{"spam": 1}'))
    assert _signals(running.store, Asked(disposition="spam")) == ["receipt:1"]
    assert _signals(running.store, Asked(disposition="discarded")) == []


def test_one_signal_and_one_receipt_are_shown(running: Any) -> None:
    running.post(_payload("a"))
    running.work()
    with running.store.reading() as connection:
        receipt = show_receipt(connection, 1)
        (line,) = signals_of(connection, 1)
        assert line.id is not None
        again = show_signal(connection, line.id)
        assert show_receipt(connection, 2) is None
        assert show_signal(connection, 0) is None
    assert receipt is not None
    assert (receipt.state, receipt.counts, receipt.format) == ("worked", {"opened": 1}, "alertmanager")
    assert again == line
    assert (line.disposition, line.incident, line.status, line.state) == ("opened", "INC-1001", "firing", "worked")


def test_the_outbox_stands_with_the_newest_first(running: Any, admin: Author) -> None:
    for number in range(3):
        running.acts.open(
            by=admin, now=running.now + timedelta(minutes=number), title=f"a{number}", text="",
            requester=f"kim{number}@example.org", fields={},
        )  # fmt: skip
        running.acts.reply(f"INC-{1001 + number}", by=admin, now=running.now, text="we look")
    with running.store.reading() as connection:
        first = list_outbox(connection, states=("waiting",), limit=2)
        second = list_outbox(connection, states=("waiting",), limit=2, cursor=first.next)
        nothing = list_outbox(connection, states=("dead",), limit=2)
        shown = show_notification(connection, first.items[0].id)
        assert show_notification(connection, 0) is None
    ids = [line.id for line in (*first.items, *second.items)]
    assert ids == sorted(ids, reverse=True)
    assert nothing.items == []
    assert shown is not None
    assert (shown.line.subject, shown.body, shown.attempts) == ("INC-1003", None, [])
    assert shown.facts


def test_a_person_with_two_addresses_is_shown_with_the_one_that_takes_mail(running: Any) -> None:
    with running.store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO people (id, name) VALUES (900001, 'Kim')")
        for address, at in (("a@example.org", str(to_micros(running.now))), ("b@example.org", "NULL")):
            connection.exec_driver_sql(
                f"INSERT INTO addresses (address, person, suppressed_at) VALUES ('{address}', 900001, {at})"
            )
    with running.store.reading() as connection:
        found = people_by_id(connection, [900001, None, 5])
    assert found[900001].address == "b@example.org"
    assert not found[900001].suppressed
