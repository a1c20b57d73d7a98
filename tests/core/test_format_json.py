"""The generic shape: what anything that can post JSON may send."""

from __future__ import annotations

import json as standard
from datetime import UTC, datetime
from typing import Any

import pytest

from incidents.signal import Alert, AlertStatus, Refused
from ingest.formats import json
from ingest.payload import read_json
from ingest.spec import Unreadable


def one(**event: Any) -> Alert:
    (alert,) = json.parse(standard.dumps(event).encode())
    assert isinstance(alert, Alert)
    return alert


def test_the_documented_shape_is_read_whole() -> None:
    alert = one(
        title="Backup failed", description="exit 3", status="firing", severity="warning", dedup_key="backup-db1",
        resource="db1", service="backups", url="https://ci.example.com/7", labels={"env": "prod"},
        starts_at="2026-11-23T08:00:00Z",
    )  # fmt: skip
    assert alert == Alert(
        status=AlertStatus.FIRING, key="backup-db1", title="Backup failed", summary="exit 3", severity_hint="sev3",
        resource="db1", service="backups", labels={"env": "prod", "severity": "warning"},
        url="https://ci.example.com/7",
        starts_at=datetime(2026, 11, 23, 8, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "word", "status"),
    [
        ("status", "RESOLVED", "resolved"), ("state", "ok", "resolved"),
        ("event_action", "acknowledge", "acknowledged"),
        ("status", "whatever", "firing"), ("status", "", "firing"), ("status", "test", "ignored"),
    ],
)  # fmt: skip
def test_an_unknown_status_opens_and_never_resolves(field: str, word: str, status: str) -> None:
    assert one(title="A", **{field: word}).status == status


def test_an_event_without_a_key_is_known_by_its_title_without_numbers_and_its_resource() -> None:
    first = one(title="Disk 92% full", host="web1")
    assert first.key == one(message="disk  95% full", host="web1").key
    assert first.key != one(title="Disk 92% full", host="web2").key


def test_several_events_come_as_an_array_or_under_alerts() -> None:
    events = [{"title": "A"}, {"nothing": 1}, 5]
    for body in (events, {"alerts": events}):
        first, second, third = json.parse(standard.dumps(body).encode())
        assert isinstance(first, Alert)
        assert isinstance(second, Refused)
        assert isinstance(third, Refused)
        assert json.shape(standard.dumps(body).encode()).accepted == 1


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [("priority", 1, "sev1"), ("priority", "P3", "sev3"), ("level", "low", "sev4"), ("severity", "1", None)],
)
def test_a_severity_word_is_a_hint_where_the_table_has_it(field: str, value: Any, hint: str | None) -> None:
    alert = one(title="A", **{field: value})
    assert (alert.severity_hint, alert.labels["severity"]) == (hint, str(value))


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        ("env:prod, canary", {"env": "prod", "canary": "true"}),
        (["env:prod", "a=b", 5], {"env": "prod", "a": "b", "5": "true"}),
        ({"env": "prod", "x": {}}, {"env": "prod"}),
        (7, {}),
    ],
)
def test_tags_may_be_an_object_a_list_or_a_line(tags: Any, labels: dict[str, str]) -> None:
    assert one(title="A", tags=tags).labels == labels


def test_details_of_any_shape_are_shown_below_the_title() -> None:
    assert one(title="A", details={"a": [1]}).summary == '{"a": [1]}'
    assert one(title="A", message="more of it").summary == "more of it"
    assert one(message="A").summary == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"title": "A"}'.encode("utf-16"), "UTF-16"),
        (b'{"title": "\xff"}', "isn't UTF-8"),
        (b'{"title": NaN}', "number"),
        (b'{"title": "A", "n": 1e999}', "number"),
        (b'{"title": "A", "n": %s}' % (b"1" * 5000), "number"),
        (b'{"title": "\\ud800", "n": %s}' % (b"1" * 5000), "number"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested deeper"),
        (b'{"title": "A",}', "isn't valid JSON (line 1, column"),
        (b'"text"', "neither an object nor an array"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_plain_sentence(body: bytes, words: str) -> None:
    """Fault 51."""
    with pytest.raises(Unreadable) as refusal:
        json.shape(body)
    assert words in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_half_of_a_surrogate_pair_is_cleaned_and_accepted() -> None:
    """Fault 51: senders cut emoji in the middle."""
    (alert,) = json.parse(b'{"title": "Disk full \\ud83d", "host": "web1"}')
    assert isinstance(alert, Alert)
    assert alert.title == "Disk full \ufffd"


def test_whole_pairs_beside_a_half_one_stay_what_they_are() -> None:
    assert read_json(b'["\\ud83d\\ude00", "\\ud83d"]')[0] == "\U0001f600"
