"""PagerDuty's Events API, version 2, and the older form that some senders still speak.

A key of this dialect never reopens a resolved record, and its timestamp names no episode: the desk does.
A trigger without a key gets one made of what it says, which the door gives back as ``dedup_key``.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    shown,
    web_address,
)
from ingest.payload import read_json
from ingest.spec import Shape, Unreadable
from kit.text import clean_text, header_text

#: The dialect's four words; any other is no hint.
_SEVERITIES = {"critical": "sev1", "error": "sev2", "warning": "sev3", "info": "sev4"}
_ACTIONS = {
    "trigger": AlertStatus.FIRING,
    "acknowledge": AlertStatus.ACKNOWLEDGED,
    "resolve": AlertStatus.RESOLVED,
}
_NAMED = ("source", "component", "group", "class")


def shape(body: bytes) -> Shape:
    """One event, and the key that the answer names."""
    item = parse(body)[0]
    return Shape(0, (item,)) if isinstance(item, Refused) else Shape(1, (), item.key)


def parse(body: bytes) -> tuple[Alert | Refused, ...]:
    """The one alert that an event is."""
    event = read_json(body)
    if not isinstance(event, dict):
        raise Unreadable("The payload is no object; send one event with event_action, dedup_key and payload.")
    return (_alert(event),)


def _alert(event: Mapping[str, Any]) -> Alert | Refused:
    """The alert that an event is; version 1 called the same things by other names."""
    status = _ACTIONS.get((_text(event, "event_action") or _text(event, "event_type")).lower(), AlertStatus.FIRING)
    payload = _payload(event)
    summary = _text(payload, "summary") or _text(event, "description")
    key = native_key(_text(event, "dedup_key") or _text(event, "incident_key"))
    if status is not AlertStatus.FIRING and key is None:
        return Refused("dedup_key", f"expected the key of the alert to {_text(event, 'event_action') or 'resolve'}")
    if status is AlertStatus.FIRING and not header_text(summary):
        return Refused("payload.summary", "expected text that says what is wrong")
    labels = _labels(event, payload)
    return Alert(
        status=status,
        key=key or _derived_key(summary, labels),
        title=header_text(summary, TITLE_MAX) or header_text(key or "", TITLE_MAX),
        summary=clean_text(_details(event, payload, summary), TEXT_MAX),
        severity_hint=_hint(event, payload),
        resource=_resource(event, payload),
        service=header_text(labels.get("service", "")) or None,
        labels=labels,
        annotations=_annotations(event),
        url=_url(event),
        reopens=False,
    )


def _payload(event: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = event.get("payload")
    return payload if isinstance(payload, dict) else {}


def _text(event: Mapping[str, Any], name: str) -> str:
    return scalar_text(event.get(name)) or ""


def _labels(event: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, str]:
    """The scalars of ``custom_details`` (``details`` in version 1), under the event's own words."""
    details = scalar_map(payload.get("custom_details")) or scalar_map(event.get("details"))
    short = {name: value for name, value in details.items() if len(value) <= 200 and "\n" not in value}  # noqa: PLR2004 - a label is a word, not a report
    own = {name: _text(payload, name) for name in (*_NAMED, "severity")}
    return clean_labels(short | {name: value for name, value in own.items() if value})


def _hint(event: Mapping[str, Any], payload: Mapping[str, Any]) -> str | None:
    """The level that the severity word hints at. Alertmanager says "error" whatever the alert is: no hint."""
    word = _text(payload, "severity").lower()
    if word == "error" and "Alertmanager" in (_text(event, "client"), _text(payload, "source")):
        return None
    return _SEVERITIES.get(word)


def _resource(event: Mapping[str, Any], payload: Mapping[str, Any]) -> str | None:
    """The affected system. Alertmanager puts its own name there, which says nothing."""
    source = _text(payload, "source") or _text(event, "source")
    named = _text(payload, "component") if source in ("", "Alertmanager") else source
    return header_text(named) or None


def _derived_key(summary: str, labels: Mapping[str, str]) -> str:
    return digest_of([summary, *(labels.get(name, "") for name in _NAMED)])


def _details(event: Mapping[str, Any], payload: Mapping[str, Any], summary: str) -> str:
    """What a person reads below the title: the whole summary when it was cut, and the details as they came."""
    details = payload.get("custom_details", event.get("details"))
    parts = [summary] if len(summary) > TITLE_MAX else []
    if isinstance(details, dict):
        parts += [f"{name}: {shown(value)}" for name, value in details.items()]
    elif details:
        parts.append(shown(details))
    return "\n".join(parts)


def _annotations(event: Mapping[str, Any]) -> dict[str, str]:
    """Links and images by their text; what else the sender said of the event."""
    found = {"client": _text(event, "client"), "timestamp": _text(_payload(event), "timestamp")}
    for place, (href, text) in enumerate(_links(event), start=1):
        found[text or f"link {place}"] = href
    return clean_annotations(found)


def _links(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Address and text of each link, image and context of an event."""
    found = [event.get(name) for name in ("links", "images", "contexts")]
    entries = [entry for many in found if isinstance(many, list) for entry in many if isinstance(entry, dict)]
    return [
        (href, header_text(_text(entry, "text") or _text(entry, "alt"), 100))
        for entry in entries[:LABELS_MAX]
        if (href := web_address(entry.get("href") or entry.get("src")))
    ]


def _url(event: Mapping[str, Any]) -> str | None:
    own = web_address(event.get("client_url"))
    return own or next((href for href, _ in _links(event)), None)
