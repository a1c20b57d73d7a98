"""Turns on a real database: claimed, parsed, decided and saved in one commit, and safe against all that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from daemon import inbox
from daemon.desks import operator
from desk import alerts, timer
from store.claims import Lease, claim_receipts, release
from store.errors import Collision, StoreUnavailable
from store.outbox import load_stories, outgoing_of
from store.tables.outbox import outbox


def payload(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "groupKey": "{}", "status": "firing", "alerts": alerts}).encode()


def alert(name: str, status: str = "firing", *, start: str = "2026-11-23T11:00:00Z", **labels: str) -> dict[str, Any]:
    labels = {"alertname": name, **labels}
    ended = "2026-11-23T11:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    return {"status": status, "labels": labels, "annotations": {}, "startsAt": start, "endsAt": ended,
            "fingerprint": f"{abs(hash(name)) % 16**16:016x}", "generatorURL": ""}  # fmt: skip


def mail(subject: str, number: int = 1) -> bytes:
    return (
        f"From: Ann Example <ann@example.com>\r\nTo: support@example.com\r\nSubject: {subject}\r\n"
        f"Message-ID: <{number}@mail.example.com>\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n\r\nIt is odd.\r\n"
    ).encode()


def counts(running: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for (text,) in running.rows("SELECT counts FROM receipts WHERE state = 'worked'"):
        for name, count in json.loads(text).items():
            total[name] = total.get(name, 0) + count
    return total


def test_a_batch_is_one_commit_of_all_that_follows(running: Any) -> None:
    """Signals, records, entries, clocks, outbox and the receipts' verdict."""
    running.post(payload(alert("A", severity="critical", env="prod"), alert("B")))
    running.mail(mail("printer"))
    running.work()
    assert counts(running) == {"opened": 3}
    assert [row.number for row in running.records()] == [1001, 1002, 1003]
    assert running.rows("SELECT count(*) FROM timeline")[0][0] >= 4
    assert {row.kind for row in running.rows("SELECT kind FROM outbox")} == {"escalation", "acknowledgement"}


def test_repeats_count_and_write_no_signal(running: Any) -> None:
    """The fast lane: one set-based update a turn."""
    for _ in range(5):
        running.post(payload(alert("A"), alert("B")))
    running.work()
    running.post(payload(alert("A")))
    running.work()
    assert counts(running) == {"opened": 2, "repeated": 9}
    assert running.rows("SELECT count(*) FROM signals")[0][0] == 2
    assert sum(row.signals for row in running.rows("SELECT signals FROM fold_keys")) == 11


def test_what_fires_ends_and_fires_again_over_turns_is_one_record(running: Any) -> None:
    running.post(payload(alert("A")))
    running.work()
    running.wait(minutes=5)
    running.post(payload(alert("A", "resolved")))
    running.work()
    assert [row.state for row in running.records()] == ["resolved"]
    running.wait(minutes=5)
    running.post(payload(alert("A", start="2026-11-23T12:09:00Z")))
    running.work()
    (record,) = running.records()
    assert (record.state, record.reopens, record.firing) == ("working", 1, 1)


def test_a_body_too_long_for_one_turn_is_worked_in_several(running: Any) -> None:
    """The lock is held for a batch, not for a payload; nothing is counted twice."""
    running.post(payload(*(alert(f"A{number}") for number in range(300))))
    rounds = running.work()
    assert sum(done.receipts for done in rounds) == 1
    assert counts(running) == {"opened": 300}


def test_a_worker_that_dies_between_two_parts_of_a_body_loses_and_doubles_nothing(
    running: Any, again: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next worker goes on where the dead one's last commit ended."""
    running.post(payload(*(alert(f"A{number}") for number in range(300))))
    turn, left = running.inbox._turn, [1]

    def dies(*args: Any, **kwargs: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        turn(*args, **kwargs)

    monkeypatch.setattr(running.inbox, "_turn", dies)
    with pytest.raises(KeyboardInterrupt):
        running.work()
    with running.store.writing() as connection:
        release(connection, running.owner, running.now)
    again("worker.2").work()
    assert counts(running) == {"opened": 300}
    assert len(running.records()) == 300


def test_a_mail_that_kills_its_parser_is_quarantined_after_three_and_seen(running: Any) -> None:
    """Fault 24: three takes of it alone, then quarantine and a plain record; the others flow."""
    running.parser.fails = {b"poison"}
    running.mail(mail("poison", 1))
    for number in range(2, 6):
        running.mail(mail(f"innocent {number}", number))
    running.work()
    states = [row.state for row in running.rows("SELECT state FROM receipts ORDER BY id")]
    assert states == ["quarantined", "worked", "worked", "worked", "worked"]
    assert running.rows("SELECT attempts FROM receipts ORDER BY id")[0][0] == 3
    titles = {row.title for row in running.records()}
    assert titles == {"Unreadable mail from ann@example.com", *(f"innocent {number}" for number in range(2, 6))}


def test_a_payload_that_is_none_is_quarantined_at_once(running: Any) -> None:
    """A permanent error is not tried again; payloads of one source share a record."""
    running.post(b"no json", source="prometheus")
    running.post(b"{]", source="prometheus")
    running.work()
    assert {row.state for row in running.rows("SELECT state FROM receipts")} == {"quarantined"}
    assert [row.title for row in running.records()] == ["Unreadable payload from prometheus"]


def test_a_turn_that_fails_costs_only_the_guilty_one(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a signal does to a decision, the batch is taken again one by one."""
    opens = alerts._open_record

    def fails(working: Any, heard: Any, **kwargs: Any) -> Any:
        if heard.alert.labels.get("alertname") == "poison":
            raise RuntimeError("boom")
        return opens(working, heard, **kwargs)

    monkeypatch.setattr(alerts, "_open_record", fails)
    for name in ("A", "poison", "B"):
        running.post(payload(alert(name)))
    rounds = running.work()
    assert [row.state for row in running.rows("SELECT state FROM receipts ORDER BY id")] == [
        "worked", "quarantined", "worked",
    ]  # fmt: skip
    assert {number for done in rounds for number, _ in done.errors} <= {1, 2, 3}


def test_innocents_of_killed_batches_are_not_counted(running: Any, again: Callable[[str], Any]) -> None:
    """Three kills do not quarantine anybody: only takes alone count."""
    for number in range(20):
        running.mail(mail(f"m{number}", number))
    for life in range(3):
        with running.store.writing() as connection:
            claimed = claim_receipts(connection, Lease(f"dead.{life}", running.now, timedelta(seconds=60)), 500)
            release(connection, f"dead.{life}", running.now)
        assert claimed
    again("worker.2").work()
    assert counts(running) == {"opened": 20}
    assert running.rows("SELECT count(*) FROM receipts WHERE state = 'quarantined'")[0][0] == 0


def test_a_database_that_goes_away_in_a_turn_is_nobodys_fault(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not even begin is taken again as if it had never been claimed, not as a suspect."""
    running.post(payload(alert("A")))
    loads = inbox.load_bodies  # type: ignore[attr-defined]  # as above
    fails = [True]

    def away(connection: Any, claimed: Any) -> Any:
        if fails:
            fails.clear()
            raise StoreUnavailable
        return loads(connection, claimed)

    monkeypatch.setattr(inbox, "load_bodies", away)
    with pytest.raises(StoreUnavailable):
        running.work()
    running.work()
    (row,) = running.rows("SELECT state, attempts FROM receipts")
    assert tuple(row) == ("worked", 0)


def test_two_workers_that_open_the_same_incident_collide_and_one_folds(
    running: Any, again: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys, not luck: the loser loads again and takes its turn again."""
    other = again("worker.2")
    running.post(payload(alert("A")))
    running.post(payload(alert("A")))
    saves = inbox.save  # type: ignore[attr-defined]  # replaced for a moment
    done: list[bool] = []

    def races(connection: Any, working: Any) -> None:
        if not done:
            done.append(True)
            raise Collision
        saves(connection, working)

    monkeypatch.setattr(inbox, "save", races)
    running.inbox._batch = 1
    running.work()
    other.work()
    assert counts(running) == {"opened": 1, "repeated": 1}
    assert len(running.records()) == 1


def test_two_workers_share_the_last_place_of_a_budget(
    running: Any, again: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """G8: what one of them told while the other decided counts for the other, too."""
    limits = replace(running.desk.policy.limits, automatic_mails_in_all_per_hour=2)
    running.desk = replace(running.desk, policy=replace(running.desk.policy, limits=limits))
    other = again("worker.2")
    running.mail(mail("by somebody new", 1))
    running.work()
    running.mail(mail("second", 2))
    running.mail(mail("third", 3))
    decides, waits = inbox.take, [True]  # type: ignore[attr-defined]  # replaced for a moment

    def overtaken(working: Any, arrivals: Any) -> None:
        decides(working, arrivals)
        if waits:
            waits.clear()
            other.work()

    monkeypatch.setattr(inbox, "take", overtaken)
    monkeypatch.setattr(inbox, "MOST_RECEIPTS", 1)
    running.work()
    told = running.rows("SELECT state, reason FROM outbox WHERE kind = 'acknowledgement' ORDER BY state")
    assert [tuple(row) for row in told] == [("suppressed", "desk_budget"), ("waiting", None), ("waiting", None)]


def test_the_turns_after_a_collision_are_half_as_long(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more a turn touches, the likelier another writer does, too; and all of it is taken again."""
    running.post(payload(alert("A")))
    saves, fails = inbox.save, [True]  # type: ignore[attr-defined]  # replaced for a moment

    def races(connection: Any, working: Any) -> None:
        if fails:
            fails.clear()
            raise Collision
        saves(connection, working)

    monkeypatch.setattr(inbox, "save", races)
    running.inbox._batch = 256
    running.work()
    assert running.inbox._batch == 128


def test_the_same_mail_by_two_envelopes_is_one_record(running: Any) -> None:
    """A4: a copy to another of our addresses is a duplicate that names the first."""
    body = mail("printer")
    running.mail(body)
    running.desk.addresses["help@example.com"] = "support"
    running.mail(body, "help@example.com")
    running.work()
    assert counts(running) == {"opened": 1, "duplicate": 1}
    first, second = running.rows("SELECT id, key, repeats FROM signals ORDER BY id")
    assert (second.key, second.repeats) == (None, first.id)


def test_an_escalation_goes_on_by_its_clock_and_stops_when_somebody_has_it(running: Any) -> None:
    """Timers are rows: each step once, in its time."""
    running.post(payload(alert("A", severity="critical", env="prod", service="checkout")))
    running.work()
    steps = []
    for _ in range(4):
        running.wait(minutes=10)
        running.fire()
        steps.append(len(running.rows("SELECT 1 FROM outbox WHERE kind = 'escalation'")))
    assert steps == sorted(set(steps))
    ref = f"INC-{running.records()[0].number}"
    running.acts.acknowledge(ref, by=operator(running.store, "op"), now=running.now, channel="cli")
    before = len(running.rows("SELECT 1 FROM outbox WHERE kind = 'escalation'"))
    running.wait(hours=2)
    running.fire()
    assert len(running.rows("SELECT 1 FROM outbox WHERE kind = 'escalation'")) == before


def test_after_a_long_stop_only_the_latest_step_fires(running: Any) -> None:
    """G6: earlier ones are recorded as missed, later ones count from now, and nothing bursts."""
    running.post(payload(alert("A", severity="critical", env="prod", service="checkout")))
    running.work()
    running.wait(minutes=25)
    fired = running.fire()
    assert "escalation.standard" in fired.names
    (values,) = [
        json.loads(row.said) for row in running.rows('SELECT v."values" AS said FROM timeline t JOIN timeline_values v'
        " ON v.subject = t.subject AND v.seq = t.seq WHERE t.kind = 'escalated' ORDER BY t.seq DESC LIMIT 1")
    ]  # fmt: skip
    assert values["step"][1] == 3
    assert values["missed"][1] == [2]
    assert not [name for name in running.fire().names if name.startswith("escalation.")]


def test_what_is_resolved_closes_by_itself(running: Any) -> None:
    """close.auto, once, and audit stays clean."""
    running.post(payload(alert("A")))
    running.work()
    running.post(payload(alert("A", "resolved")))
    running.work()
    running.wait(days=6)
    running.fire()
    assert [row.state for row in running.records()] == ["closed"]


def test_a_storm_of_pages_is_told_in_few_mails(running: Any) -> None:
    """Fault 62, its notices: ten pages, then one notice that tells the rest."""
    for number in range(60):
        running.post(payload(alert(f"A{number}", severity="critical", env="prod", service="checkout")))
    running.work()
    states = {row.state: row[1] for row in running.rows("SELECT state, count(*) FROM outbox GROUP BY state")}
    assert states == {"waiting": 11, "collapsed": 50}
    (notice,) = running.rows("SELECT members FROM outbox WHERE kind = 'notice'")
    assert notice.members == 50


@pytest.mark.parametrize("times", [3])
def test_copies_from_a_pair_of_alertmanagers_are_one_incident(running: Any, times: int) -> None:
    """Fault 60: one incident, one signal for each change of state."""
    for _ in range(times):
        running.post(payload(alert("A")))
    for _ in range(times):
        running.post(payload(alert("A", "resolved")))
    running.work()
    assert len(running.records()) == 1
    assert running.rows("SELECT count(*) FROM signals")[0][0] == 2


def test_time_in_a_record_is_the_receipts(running: Any) -> None:
    """Fault 38: what a Date header or a start says is shown, and rules no clock."""
    running.mail(mail("printer").replace(b"23 Nov 2026", b"23 Nov 1001"))
    at: datetime = running.now
    running.wait(minutes=3)
    running.work()
    (record,) = running.records()
    assert record.opened_at == int(at.timestamp() * 1e6)


def test_a_timer_that_can_not_be_decided_holds_up_no_other(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told and looked at again later; the others fire in their time."""
    running.post(payload(alert("A"), alert("B")))
    running.work()
    running.post(payload(alert("A", "resolved"), alert("B", "resolved")))
    running.work()
    guilty = running.records()[0].id
    closes = timer._close

    def fails(working: Any, incident: Any) -> None:
        if incident.id == guilty:
            raise RuntimeError("boom")
        closes(working, incident)

    monkeypatch.setattr(timer, "_close", fails)
    running.wait(days=6)
    fired = running.fire()
    assert [error.subject for error, _ in fired.errors] == [guilty]
    assert [row.state for row in running.records()] == ["resolved", "closed"]
    monkeypatch.undo()
    running.wait(minutes=6)
    running.fire()
    assert [row.state for row in running.records()] == ["closed", "closed"]


def test_a_reply_from_the_shell_is_signed_by_the_agent_it_is_written_for(running: Any) -> None:
    """Never by the name of the machine's user, which tells the requester nothing."""
    running.mail(mail("printer"))
    running.work()
    ref = f"INC-{running.records()[0].number}"
    for acting_as in (None, "ana"):
        by = operator(running.store, "root", acting_as=acting_as)
        running.acts.reply(ref, by=by, now=running.now, text="Which one?")
    with running.store.reading() as connection:
        rows = connection.execute(select(outbox).where(outbox.c.kind == "reply").order_by(outbox.c.id)).all()
        stories = load_stories(connection, [outgoing_of(row) for row in rows])
    assert [stories[row.id].author for row in rows] == ["", "Ana Example"]


def test_a_turn_holds_no_more_bytes_than_it_may(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """G9: what is beyond is left for the next turn, as if it had never been claimed."""
    monkeypatch.setattr(inbox, "MOST_BYTES", 1000)
    for number in range(6):
        running.mail(mail(f"m{number}", number) + b"x" * 600)
    rounds = running.work()
    assert [done.receipts for done in rounds] == [1] * 6
    assert {row.attempts for row in running.rows("SELECT attempts FROM receipts")} == {0}


def test_a_report_silences_only_the_address_that_the_mail_was_for(running: Any) -> None:
    """A39: a permanent failure stops mail there; a stranger's address can't be silenced by a forged report."""
    running.mail(mail("printer", 1))
    running.mail(mail("screen", 2).replace(b"ann@example.com", b"bob@example.com"))
    running.work()
    (ours,) = running.rows("SELECT message_id FROM outbox WHERE recipient = 'ann@example.com'")
    for number, address in enumerate(("bob@example.com", "ann@example.com")):
        report = (
            "From: MAILER-DAEMON@mx.example.com\r\nTo: support@example.com\r\nSubject: Undelivered\r\n"
            f"Message-ID: <r{number}@mx.example.com>\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
            "--b\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n"
            "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
            f"Final-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
            f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{ours.message_id}>\r\n\r\n--b--\r\n"
        )
        running.mail(report.encode())
        running.work()
    silenced = running.rows("SELECT address FROM addresses WHERE suppressed_at IS NOT NULL")
    assert [row.address for row in silenced] == ["ann@example.com"]
    assert len(running.records()) == 2
