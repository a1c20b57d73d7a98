"""PagerDuty's events: the dialect that hundreds of senders speak."""

from __future__ import annotations

import json
from typing import Any

import pytest

from incidents.signal import Alert, AlertStatus, Refused
from ingest.formats import pagerduty
from ingest.spec import Unreadable


def event(**changes: Any) -> bytes:
    whole = {
        "routing_key": "0123456789abcdef0123456789abcdef",
        "event_action": "trigger",
        "dedup_key": "disk/web1",
        "payload": {
            "summary": "Disk is full on web1", "source": "web1.example.com", "severity": "critical",
            "timestamp": "2026-11-23T08:00:00Z", "component": "disk", "group": "web", "class": "capacity",
            "custom_details": {"free": "1 %", "mount": "/var"},
        },
        "links": [{"href": "https://runbooks.example.com/disk", "text": "Runbook"}],
        "client": "Probe", "client_url": "https://probe.example.com/1",
    }  # fmt: skip
    return json.dumps(whole | changes).encode()


def one(body: bytes) -> Alert:
    (alert,) = pagerduty.parse(body)
    assert isinstance(alert, Alert)
    return alert


def test_a_trigger_carries_what_happened_and_names_no_episode() -> None:
    alert = one(event())
    assert (alert.status, alert.key, alert.title) == (AlertStatus.FIRING, "disk/web1", "Disk is full on web1")
    assert (alert.severity_hint, alert.resource, alert.url) == (
        "sev1",
        "web1.example.com",
        "https://probe.example.com/1",
    )
    assert alert.labels == {
        "free": "1 %", "mount": "/var", "source": "web1.example.com", "component": "disk", "group": "web",
        "class": "capacity", "severity": "critical",
    }  # fmt: skip
    assert alert.annotations["Runbook"] == "https://runbooks.example.com/disk"
    assert alert.summary == "free: 1 %\nmount: /var"
    assert (alert.starts_at, alert.reopens) == (None, False)


@pytest.mark.parametrize(("action", "status"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_what_follows_a_trigger_needs_only_the_key(action: str, status: str) -> None:
    alert = one(json.dumps({"event_action": action, "dedup_key": "disk/web1"}).encode())
    assert (alert.status, alert.key) == (status, "disk/web1")


def test_the_older_form_is_understood() -> None:
    body = {
        "service_key": "x",
        "event_type": "trigger",
        "incident_key": "k1",
        "description": "Job is late",
        "client": "Cron",
    }
    alert = one(json.dumps(body).encode())
    assert (alert.key, alert.title, alert.status) == ("k1", "Job is late", AlertStatus.FIRING)


def test_a_trigger_without_a_key_gets_one_and_the_answer_names_it() -> None:
    body = event(dedup_key=None)
    alert = one(body)
    assert alert.key == pagerduty.shape(body).key == one(event(dedup_key="")).key
    assert alert.key
    assert pagerduty.shape(event()).key == "disk/web1"


def test_error_from_alertmanager_is_no_hint() -> None:
    """Alertmanager says "error" whatever the alert's own label says."""
    payload = {"summary": "[FIRING:1] A", "source": "Alertmanager", "severity": "error"}
    alert = one(event(payload=payload, client="Alertmanager"))
    assert (alert.severity_hint, alert.labels["severity"], alert.resource) == (None, "error", None)
    assert one(event(payload=payload | {"source": "web1"}, client="Probe")).severity_hint == "sev2"


def test_a_summary_that_is_too_long_is_cut_in_the_title_and_kept_below_it() -> None:
    alert = one(event(payload={"summary": "x" * 2000}))
    assert (len(alert.title), alert.summary, alert.severity_hint) == (200, "x" * 2000, None)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"event_action": "resolve", "dedup_key": None}, "dedup_key"),
        ({"payload": {}}, "payload.summary"),
        ({"payload": 5}, "payload.summary"),
    ],
)
def test_an_event_that_names_nothing_is_refused(changes: dict[str, Any], path: str) -> None:
    (refused,) = pagerduty.parse(event(**changes))
    assert isinstance(refused, Refused)
    assert refused.path == path
    assert pagerduty.shape(event(**changes)).refused == (refused,)


@pytest.mark.parametrize(
    "changes",
    [
        {"dedup_key": "x" * 9999}, {"dedup_key": 5}, {"dedup_key": "a\r\n\ud800"}, {"links": 5},
        {"links": [5, {"href": 5}]},
        {"images": [{"src": "javascript:x"}]}, {"client_url": "file:///etc"}, {"event_action": "explode"},
        {"payload": {"summary": "A\x00B\ud800", "custom_details": [1, 2], "severity": 5}},
    ],
)  # fmt: skip
def test_a_wrong_field_costs_that_field_and_not_the_event(changes: dict[str, Any]) -> None:
    """Fault 52."""
    alert = one(event(**changes))
    assert alert.key
    assert len(alert.key) <= 255
    (alert.key + alert.title + alert.summary).encode()


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b'{"a": NaN}'])
def test_what_is_no_event_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(Unreadable):
        pagerduty.shape(body)
