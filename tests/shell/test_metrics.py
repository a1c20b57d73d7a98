"""The figures: closed label sets, all present from the start, and gauges that say what the store holds."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from daemon.gauges import Pace
from daemon.metrics import Metrics
from daemon.outbox import Handover
from daemon.series import OTHER, SERIES
from incidents.effects import Outgoing
from kit.instants import to_micros
from store.bulk import insert_rows
from store.engine import Store
from store.outbox import Verdict
from store.tables.incidents import CLOSED, incidents
from store.tables.outbox import outbox
from store.tables.receipts import receipts
from store.tables.targets import targets

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample by its name and label values, the labels by name."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = [one for family in families for one in family.samples]
    return {(one.name, *[value for _, value in sorted(one.labels.items())]): one.value for one in samples}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["prometheus", "pager"])


def test_nothing_from_outside_makes_a_series(metrics: Metrics) -> None:
    """Fault 63: sources, kinds, codes and names from outside count as unknown or other."""
    before = values(metrics).keys()
    for number in range(10_000):
        strange = f"strange-{number}"
        metrics.count("ingest_total", source=strange, outcome=strange)
        metrics.count("auth_fail_total", source=strange)
        metrics.count("limit_total", kind=strange)
        metrics.store_error(f"store.{strange}")
        metrics.apply_report({
            "dispositions": {strange: 1}, "quarantined": {strange: 1}, "stages": {strange: 0.001},
            "suppressed": {strange: 1}, "limits": {strange: 1},
        })  # fmt: skip
    after = values(metrics)
    assert after.keys() == before
    assert after["triaged_ingest_total", OTHER, "unknown"] == 10_000
    assert after["triaged_auth_fail_total", "unknown"] == 10_000
    assert after["triaged_limit_total", OTHER] == 20_000
    assert after["triaged_db_error_total", OTHER] == 10_000


def test_doors_count_by_the_names_of_the_configuration(metrics: Metrics) -> None:
    metrics.count("ingest_total", source="prometheus", outcome="kept")
    metrics.count("ingest_total", source="smtp", outcome="repeated")
    found = values(metrics)
    assert found["triaged_ingest_total", "kept", "prometheus"] == 1
    assert found["triaged_ingest_total", "repeated", "smtp"] == 1
    assert found["triaged_ingest_total", "kept", "pager"] == 0


def test_a_name_that_is_not_declared_is_a_mistake(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.count("made_up_total")


def test_what_a_worker_reports_is_added(metrics: Metrics) -> None:
    """As the report comes over the pipe."""
    report = {
        "receipts": 3, "dispositions": {"opened": 2, "repeated": 40}, "quarantined": {"mail": 1}, "timers": 4,
        "late_seconds": 0.5, "composed": 2, "stages": {"decide": 0.003, "save": 0.004}, "parser_restarts": 1,
        "not_composed": {"deadline": 1},
    }  # fmt: skip
    metrics.apply_report(report)
    metrics.apply_report(report)
    found = values(metrics)
    assert found["triaged_signals_total", "repeated"] == 80
    assert found["triaged_quarantine_total", "mail"] == 2
    assert found["triaged_outbox_total", "mail", "deadline", "failed"] == 2
    assert found["triaged_timers_total",] == 8
    assert found["triaged_parser_restarts_total",] == 2
    assert found["triaged_stage_seconds_total", "decide"] == pytest.approx(0.006)
    assert found["triaged_turn_seconds_count",] == 2


def test_the_daemons_own_events(metrics: Metrics) -> None:
    metrics.committed(17, 0.004)
    metrics.handed_over(Handover(verdicts=[
        *(Verdict(_mail("status"), "delivered", attempts=1) for _ in range(3)), Verdict(_mail("status"), "superseded"),
        Verdict(_mail("escalation"), "ready", next_at=NOON, attempts=1), Verdict(_mail("escalation"), "ready"),
        Verdict(_mail("escalation"), "dead", reason="refused", attempts=1),
        Verdict(_mail("notice"), "dead", reason="expired"),
    ]))  # fmt: skip
    metrics.store_error("store.busy")
    metrics.worker_ended()
    metrics.reloaded(success=False)
    found = values(metrics)
    assert found["triaged_commit_rows_sum",] == 17
    assert found["triaged_commit_seconds_bucket", "0.005"] == 1
    handed = {key[2:]: count for key, count in found.items() if key[0] == "triaged_outbox_total" and count}
    assert handed == {
        ("status", "delivered"): 3, ("status", "superseded"): 1, ("escalation", "delayed"): 1,
        ("escalation", "failed"): 1, ("notice", "expired"): 1,
    }  # fmt: skip
    assert found["triaged_db_error_total", "busy"] == 1
    assert found["triaged_worker_restarts_total",] == 1
    assert found["triaged_config_last_reload_success",] == 0


def test_dropped_log_lines_are_counted_once() -> None:
    dropped = [0]
    metrics = Metrics([], dropped=lambda: dropped[0])
    assert values(metrics)["triaged_log_dropped_total",] == 0
    dropped[0] = 5
    assert values(metrics)["triaged_log_dropped_total",] == 5
    assert values(metrics)["triaged_log_dropped_total",] == 5


def test_gauges_say_what_the_store_holds(store: Store, metrics: Metrics) -> None:
    """They are read by maintenance; a scrape shows what was read last."""
    at = to_micros(NOON)

    def minutes(count: int) -> int:
        return to_micros(NOON + timedelta(minutes=count))

    with store.writing() as connection:
        for number, state, owner in ((1, "waiting", None), (2, "waiting", "w"), (3, "quarantined", None)):
            connection.execute(insert(receipts).values(
                id=number, source="prometheus", format="json", received_at=minutes(-number), envelope="{}",
                content=b"x", size=1, state=state, attempts=0, lease_owner=owner, lease_until=owner and at,
            ))  # fmt: skip
        for number, state in ((1, "new"), (2, "waiting_vendor"), (3, "closed")):
            connection.execute(insert(incidents).values(_incident(number, state, at)))
        clocks = [
            (1, 1, "sla.respond", "running", -5, -5), (2, 1, "escalation.standard", "running", 5, 5),
            (3, 2, "sla.resolve", "paused", 60, None), (4, 1, "sla.restore", "running", -1, None),
            (5, 1, "sla.resolve", "met", 60, None), (6, 3, "sla.resolve", "running", 60, None),
        ]  # fmt: skip
        insert_rows(connection, targets, [
            (number, subject, name, state, at, minutes(due), None if look is None else minutes(look), 3600, "always",
             None, None, None, None, 0, 0, 0, None, None)
            for number, subject, name, state, due, look in clocks
        ])  # fmt: skip
        for number, kind, since in ((1, "status", -7), (2, "notice", -3), (3, "escalation", -2)):
            connection.execute(insert(outbox).values(
                id=number, kind=kind, person=1, recipient="a@example.com", channel="mail", rank=3, message_id="m",
                facts="{}", state="waiting", attempts=0, created_at=minutes(since), next_at=at, expires_at=minutes(99),
                members=0,
            ))  # fmt: skip
    metrics.refresh(store, NOON)
    found = values(metrics)
    assert found["triaged_inbox_waiting",] == 2
    assert found["triaged_inbox_oldest_seconds",] == 120
    assert found["triaged_quarantine_waiting",] == 1
    assert found["triaged_outbox_oldest_seconds",] == 420
    assert found["triaged_pages_oldest_seconds",] == 180
    assert found["triaged_timers_late_seconds",] == 300
    assert found["triaged_incidents_open", "P2"] == 2
    assert found["triaged_targets", "sla.respond", "over"] == 1
    assert found["triaged_targets", "sla.restore", "over"] == 1
    assert found["triaged_targets", "escalation", "running"] == 1
    assert found["triaged_targets", "sla.resolve", "paused"] == 1
    assert found["triaged_targets", "sla.resolve", "running"] == 0
    with store.writing() as connection:
        connection.execute(receipts.delete())
    metrics.refresh(store, NOON)
    assert values(metrics)["triaged_inbox_oldest_seconds",] == 0


def test_the_log_of_the_database_is_looked_at(metrics: Metrics) -> None:
    """Fault 95: a reader that stays for long shows; where nobody could look the figure stays."""
    metrics.log_pages(1200)
    metrics.log_pages(None)
    assert values(metrics)["triaged_wal_pages",] == 1200


def test_what_takes_long_is_counted_less_often() -> None:
    """A count that took 50 ms is not made again for 10 s, so that it costs next to nothing however much is open."""
    now = [0.0]
    pace = Pace(200, clock=lambda: now[0])
    assert pace.due()
    with pace.taking():
        now[0] += 0.05
    assert not pace.due()
    now[0] += 9.9
    assert not pace.due()
    now[0] += 0.2
    assert pace.due()


def _mail(kind: str) -> Outgoing:
    return Outgoing(
        1, 1, kind, 7, "ana@example.com", 3, "t.1@d7k2.example.com", {}, "ready", NOON, NOON, NOON + timedelta(days=5)
    )


def _incident(number: int, state: str, at: int) -> dict[str, object]:
    return {
        "id": number, "number": number, "kind": "incident", "title": "t", "state": state, "team": "platform",
        "confidential": 0, "retention_class": "standard", "opened_at": at, "updated_at": at,
        "closed_at": at if state == "closed" else None, "version": 1, "hold_count": 0, "priority": "P2",
        "severity": "sev2", "needs_person": 0, "impact": "high", "urgency": "high", "tier": 1, "source": "prometheus",
        "labels": "{}", "firing": 1, "reopens": 0, "head_seq": 1, "head_hash": b"x",
        "due_at": CLOSED if state == "closed" else at,
    }  # fmt: skip


def _calls(folder: str, name: str) -> list[ast.Call]:
    """All calls of a function or method of that name."""
    calls = [
        node
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]
    return [one for one in calls if name in (getattr(one.func, "attr", None), getattr(one.func, "id", None))]


def _words(node: ast.AST) -> list[str]:
    return [str(one.value) for one in ast.walk(node) if isinstance(one, ast.Constant)]


def test_every_kind_and_outcome_that_doors_count_is_declared() -> None:
    """Habit 11: what is counted in code stands in the declaration, so that nothing hides under other."""
    declared = {one.name: one.labels for one in SERIES}
    counted = [one for folder in ("ingest", "daemon") for one in _calls(folder, "count") if one.keywords]
    assert len(counted) > 10
    for call in counted:
        (name,) = _words(call.args[0])
        for keyword in call.keywords:
            if keyword.arg != "source":
                assert set(_words(keyword.value)) <= set(declared[name][str(keyword.arg)])
    for problem in _calls("ingest/listeners", "Problem"):
        assert set(_words(problem.args[1])) <= set(declared["ingest_total"]["outcome"])
