"""Alertmanager's webhook: what a payload becomes, and that no part of it can lose the rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.signal import Alert, AlertStatus, Refused
from ingest.formats import alertmanager
from ingest.spec import Unreadable

STARTS = "2026-11-23T08:00:00.123456789Z"


def item(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {
            "alertname": "HighErrorRate",
            "instance": "web1:9100",
            "severity": "critical",
            "service": "checkout",
        },
        "annotations": {
            "summary": "Too many errors",
            "description": "5 % of requests fail",
            "runbook_url": "https://runbooks.example.com/errors",
        },
        "startsAt": STARTS,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example.com/graph?g0.expr=up",
        "fingerprint": "1f2e3d4c5b6a7988",
    } | changes


def payload(*items: Any, **changes: Any) -> bytes:
    whole = {
        "version": "4",
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "status": "firing",
        "receiver": "desk",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://am.example.com",
        "alerts": list(items),
        "notification_reason": "new in later versions",
        "truncatedAlerts": 0,
    }
    return json.dumps(whole | changes).encode()


def one(body: bytes) -> Alert:
    (alert,) = alertmanager.parse(body)
    assert isinstance(alert, Alert)
    return alert


def test_an_alert_carries_what_the_rule_says_in_the_words_of_the_desk() -> None:
    alert = one(payload(item()))
    assert alert == Alert(
        status=AlertStatus.FIRING,
        key="1f2e3d4c5b6a7988",
        title="Too many errors",
        summary="5 % of requests fail",
        severity_hint="sev1",
        resource="web1:9100",
        service="checkout",
        labels=item()["labels"],
        annotations=item()["annotations"],
        url="https://prometheus.example.com/graph?g0.expr=up",
        starts_at=datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC),
        ends_at=None,
        group_key='{}:{alertname="HighErrorRate"}',
    )


def test_each_item_has_its_own_status_whatever_the_group_says() -> None:
    body = payload(item(), item(status="resolved", endsAt="2026-11-23T08:05:00Z", fingerprint="2"), status="firing")
    first, second = alertmanager.parse(body)
    assert isinstance(first, Alert)
    assert isinstance(second, Alert)
    assert (first.status, second.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert second.ends_at == datetime(2026, 11, 23, 8, 5, tzinfo=UTC)


@pytest.mark.parametrize(("word", "status"), [("fireing", "firing"), ("", "firing"), ("ok", "resolved")])
def test_an_unknown_status_opens_and_never_resolves(word: str, status: str) -> None:
    assert one(payload(item(status=word))).status == status


def test_a_watchdog_never_opens_anything() -> None:
    assert one(payload(item(labels={"alertname": "Watchdog", "severity": "none"}))).status is AlertStatus.IGNORED


@pytest.mark.parametrize(
    ("labels", "title"),
    [
        ({"alertname": "DiskFull", "instance": "web1"}, "DiskFull on web1"),
        ({"alertname": "DiskFull"}, "DiskFull"),
        ({"pod": "api-0"}, "Alert 1f2e3d4c5b6a7988 on api-0"),
    ],
)
def test_without_a_summary_the_title_is_made_of_the_labels(labels: dict[str, str], title: str) -> None:
    assert one(payload(item(labels=labels, annotations={}))).title == title


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("critical", "sev1"),
        ("PAGE", "sev1"),
        ("error", "sev2"),
        ("warning", "sev3"),
        ("info", "sev4"),
        ("none", None),
        ("purple", None),
    ],
)
def test_a_word_of_the_table_is_a_hint_and_the_raw_word_stays(word: str, hint: str | None) -> None:
    alert = one(payload(item(labels={"alertname": "A", "severity": word})))
    assert (alert.severity_hint, alert.labels["severity"]) == (hint, word)


def test_the_number_of_alerts_that_the_sender_cut_is_kept() -> None:
    assert one(payload(item(), truncatedAlerts=3)).annotations["truncated_alerts"] == "3"


def test_one_bad_alert_of_fifty_does_not_lose_the_others() -> None:
    """Fault 52."""
    items: list[Any] = [item(fingerprint=f"{n:016x}") for n in range(50)]
    items[3] = item(labels={"alertname": {"nested": True}})
    body = payload(*items)
    parsed = alertmanager.parse(body)
    assert sum(isinstance(alert, Alert) for alert in parsed) == 49
    assert parsed[3] == Refused("alerts[3].labels.alertname", "expected text")
    shape = alertmanager.shape(body)
    assert (shape.accepted, shape.refused) == (49, (parsed[3],))


@pytest.mark.parametrize("labels", [{}, {"alertname": ""}, None, "text", [], {"a": None}])
def test_an_alert_without_labels_is_refused_alone(labels: Any) -> None:
    body = payload(item(), item(labels=labels))
    parsed = alertmanager.parse(body)
    assert isinstance(parsed[0], Alert)
    assert isinstance(parsed[1], Refused)
    assert parsed[1].path == "alerts[1].labels"
    assert alertmanager.shape(body).accepted == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"startsAt": 5}, {"startsAt": "yesterday"}, {"startsAt": "9999-12-31T23:59:59Z"}, {"startsAt": None},
        {"annotations": None}, {"annotations": {"summary": 5}}, {"generatorURL": "javascript:alert(1)"},
        {"fingerprint": None}, {"fingerprint": "x" * 100_000}, {"fingerprint": "a\r\nb\ud800"}, {"status": 7},
        {"labels": {"alertname": "A", "n": 5, "b": True}}, {"labels": {"alertname": "A\x00\ud800"}},
    ],
)  # fmt: skip
def test_a_field_of_a_wrong_type_costs_that_field_and_not_the_alert(changes: dict[str, Any]) -> None:
    """Fault 52."""
    alert = one(payload(item(**changes)))
    assert alert.key
    assert len(alert.key) <= 255
    assert "\x00" not in alert.title
    (alert.title + alert.key + "".join(alert.labels.values())).encode()
    assert alert.url is None or alert.url.startswith("https:")


def test_labels_are_capped_and_those_that_rules_read_stay() -> None:
    """Fault 53."""
    labels = {f"a{n}": "x" for n in range(100_000)} | {
        "alertname": "Big",
        "severity": "critical",
        "x" * 500: "y" * 1_000_000,
    }
    alert = one(payload(item(labels=labels)))
    assert len(alert.labels) == 64
    assert alert.labels["alertname"] == "Big"
    assert alert.severity_hint == "sev1"
    assert max(map(len, alert.labels.values())) <= 1024


def test_the_same_labels_without_a_fingerprint_have_the_same_key() -> None:
    first = one(payload(item(fingerprint="", labels={"b": "2", "a": "1"})))
    second = one(payload(item(fingerprint="", labels={"a": "1", "b": "2", "c": ""})))
    assert first.key == second.key != one(payload(item(fingerprint="", labels={"a": "1"}))).key
    assert first.key is not None
    assert len(first.key) == 16


def test_a_template_of_the_operators_own_is_read_as_generic_json() -> None:
    assert one(b'{"title": "Backup failed", "host": "db1"}').title == "Backup failed"


@pytest.mark.parametrize("body", [b"", b"no json", b'"text"', b"5", b'{"alerts": 5}', b'{"alerts": [NaN]}'])
def test_a_payload_that_makes_no_sense_is_refused_as_a_whole(body: bytes) -> None:
    try:
        parsed = alertmanager.parse(body)
    except Unreadable:
        with pytest.raises(Unreadable):
            alertmanager.shape(body)
    else:
        assert all(isinstance(entry, Refused) for entry in parsed)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(st.one_of(json_values, st.fixed_dictionaries(dict.fromkeys(item(), json_values))), max_size=4), json_values
)
def test_shape_and_parse_agree_on_anything(items: list[Any], status: Any) -> None:
    body = payload(*items, status=status)
    shape = alertmanager.shape(body)
    parsed = alertmanager.parse(body)
    assert shape.accepted == sum(isinstance(entry, Alert) for entry in parsed)
    assert shape.refused == tuple(entry for entry in parsed if isinstance(entry, Refused))
    for alert in parsed:
        if isinstance(alert, Alert):
            assert alert.key
            assert alert.title
            assert "\n" not in alert.title
            "".join([alert.title, alert.summary, *alert.labels, *alert.labels.values()]).encode()
