"""The generic shape of an event: the names that senders use for the same few things, the first one present wins.

One object, an array of them, or an object with ``alerts`` or ``events``. An unknown status opens, it never resolves.
An event without a name of its own is recognised by its title, numbers left out, and its resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from incidents.signal import Alert, AlertStatus, Refused
from ingest.alerts import (
    LABELS_MAX,
    TEXT_MAX,
    TITLE_MAX,
    clean_annotations,
    clean_labels,
    digest_of,
    native_key,
    scalar_map,
    scalar_text,
    severity_hint,
    shown,
    status_word,
    web_address,
)
from ingest.spec import Shape, Unreadable
from kit.instants import parse_instant
from kit.text import clean_text, header_text

_TITLE = ("title", "summary", "message")
_STATUS = ("status", "state", "event_action")
_SEVERITY = ("severity", "priority", "level")
_KEY = ("dedup_key", "fingerprint", "alias", "alert_uid", "id")
_RESOURCE = ("resource", "host", "instance")
_URL = ("url", "link")
_START = ("starts_at", "startsAt")
_END = ("ends_at", "endsAt")
_LAST_SECOND = 4_000_000_000
_NUMBER = re.compile(r"\d+")

_STATUSES = {
    **dict.fromkeys(("resolved", "resolve", "recovered", "recovery", "closed", "close"), AlertStatus.RESOLVED),
    **dict.fromkeys(("ok", "up", "cleared", "normal"), AlertStatus.RESOLVED),
    **dict.fromkeys(("acknowledged", "acknowledge", "acked", "ack"), AlertStatus.ACKNOWLEDGED),
    **dict.fromkeys(("ignored", "ignore", "test", "paused"), AlertStatus.IGNORED),
}


def shape(document: Any) -> Shape:
    """How many events of a document can be read, and which can't."""
    refused = tuple(fault for path, event in _events(document) if (fault := _fault(event, path)))
    return Shape(len(_events(document)) - len(refused), refused)


def parse(document: Any) -> tuple[Alert | Refused, ...]:
    """The alerts of a document, in its order."""
    return tuple(_fault(event, path) or _alert(event) for path, event in _events(document))


def _events(document: Any) -> list[tuple[str, Any]]:
    """The events of a document, each with its place."""
    if isinstance(document, list):
        return [(f"[{place}]", event) for place, event in enumerate(document)]
    if not isinstance(document, dict):
        raise Unreadable("The payload is neither an object nor an array; send one event, or an array of events.")
    for name in ("alerts", "events"):
        if isinstance(inner := document.get(name), list):
            return [(f"{name}[{place}]", event) for place, event in enumerate(inner)]
    return [("", document)]


def _fault(event: Any, path: str) -> Refused | None:
    """Why an event can't be read; None when it can."""
    if not isinstance(event, dict):
        return Refused(path, "expected an object")
    if not header_text(_first(event, _TITLE) or ""):
        return Refused(f"{path}.title".lstrip("."), "expected text in title, summary or message")
    return None


def _alert(event: Mapping[str, Any]) -> Alert:
    """The alert that an event is."""
    title = header_text(_first(event, _TITLE) or "", TITLE_MAX)
    labels = _labels(event)
    resource = header_text(_first(event, _RESOURCE) or _first(labels, _RESOURCE) or "") or None
    service = header_text(_first(event, ("service",)) or labels.get("service") or "") or None
    return Alert(
        status=status_word(_first(event, _STATUS), _STATUSES),
        key=native_key(_first(event, _KEY) or "") or derived_key(title, resource or service),
        title=title,
        summary=clean_text(_summary(event, title), TEXT_MAX),
        severity_hint=_hint(event, labels),
        resource=resource,
        service=service,
        labels=labels,
        annotations=clean_annotations(scalar_map(event.get("annotations"))),
        url=next((url for name in _URL if (url := web_address(event.get(name)))), None),
        starts_at=_instant(event, _START),
        ends_at=_instant(event, _END),
    )


def derived_key(title: str, resource: str | None) -> str:
    """A name for an event without one: its title with numbers left out, and the thing it is about.

    >>> derived_key("Disk  92% full", "web1") == derived_key("disk 95% full", "web1")
    True
    """
    return digest_of([_NUMBER.sub("#", " ".join(title.lower().split())), (resource or "").lower()])


def _first(event: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of these names that holds something."""
    for name in names:
        if text := scalar_text(event.get(name)):
            return text
    return None


def _labels(event: Mapping[str, Any]) -> dict[str, str]:
    """Labels and tags: an object, an array or a comma list of ``name:value``; the severity word joins them."""
    found: dict[str, str] = {}
    for name in ("tags", "labels"):
        value = event.get(name)
        if isinstance(value, dict):
            found |= scalar_map(value)
            continue
        texts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
        for text in texts[: 4 * LABELS_MAX]:
            tag, _, rest = (scalar_text(text) or "").strip().replace("=", ":", 1).partition(":")
            found[tag.strip()] = rest.strip() or "true"
    word = _first(event, _SEVERITY)
    if word and "severity" not in found:
        found["severity"] = word
    return clean_labels(found)


def _hint(event: Mapping[str, Any], labels: Mapping[str, str]) -> str | None:
    """The level that the severity word hints at; a bare number counts as a priority only in ``priority``."""
    word = _first(event, _SEVERITY) or labels.get("severity")
    if word and word.isdecimal() and not _first(event, ("severity",)) and "priority" in event:
        word = f"p{word}"
    return severity_hint(word)


def _summary(event: Mapping[str, Any], title: str) -> str:
    """What a person reads below the title: ``description``, ``details``, or the names that the title left over."""
    for name in ("description", "details", *_TITLE):
        value = event.get(name)
        if isinstance(value, dict | list) and value:
            return shown(value)
        text = scalar_text(value)
        if text and header_text(text, TITLE_MAX) != title:
            return text
    return ""


def _instant(event: Mapping[str, Any], names: tuple[str, ...]) -> datetime | None:
    """An instant as ISO 8601 or as seconds since 1970; None where it is none."""
    for name in names:
        value = event.get(name)
        if isinstance(value, str):
            return parse_instant(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LAST_SECOND:
            return datetime.fromtimestamp(value, UTC)
    return None
