"""Alertmanager's webhook, version 4, as Prometheus, Grafana and their relatives send it.

Each item of ``alerts`` is the unit of truth: the state of the group is never inferred. Unknown fields are welcome,
for the body has grown twice without a new version. A well-formed payload is read by one typed decode; only when that
fails is each item read by itself, so that one bad alert of 50 does not lose the 49 (fault 52). A body without
``alerts`` (an operator's own ``payload:`` template) is read as generic JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from incidents.signal import Alert, AlertStatus, Refused
from ingest import generic
from ingest.alerts import (
    TEXT_MAX,
    TITLE_MAX,
    clean_annotations,
    clean_labels,
    digest_of,
    native_key,
    resource_of,
    scalar_map,
    scalar_text,
    severity_hint,
    status_word,
    web_address,
)
from ingest.payload import read_json
from ingest.spec import Shape
from kit.instants import parse_instant
from kit.text import clean_text, header_text

_STATUSES = {
    "firing": AlertStatus.FIRING,
    "alerting": AlertStatus.FIRING,
    "resolved": AlertStatus.RESOLVED,
    "ok": AlertStatus.RESOLVED,
    "normal": AlertStatus.RESOLVED,
}
_NO_LABELS = "there are no labels; expected at least one, such as alertname"


class _Item(msgspec.Struct):
    """One alert as it is sent."""

    labels: dict[str, str]
    status: str = ""
    annotations: dict[str, str] = {}
    startsAt: str = ""  # noqa: N815 - the sender's own name
    endsAt: str = ""  # noqa: N815 - the sender's own name
    generatorURL: str = ""  # noqa: N815 - the sender's own name
    fingerprint: str = ""


class _Payload(msgspec.Struct):
    """One notification as it is sent."""

    alerts: list[_Item]
    status: str = ""
    groupKey: str = ""  # noqa: N815 - the sender's own name
    truncatedAlerts: int = 0  # noqa: N815 - the sender's own name


class _Group(NamedTuple):
    """What an item takes from its payload when it does not say so itself."""

    status: str
    key: str | None
    truncated: int


_DECODER = msgspec.json.Decoder(_Payload)


def shape(body: bytes) -> Shape:
    """How many alerts of a payload can be read, and which can't."""
    payload = _read(body)
    if payload is None:
        return generic.shape(read_json(body))
    refused = tuple(item for item in payload[0] if isinstance(item, Refused))
    return Shape(len(payload[0]) - len(refused), refused)


def parse(body: bytes) -> tuple[Alert | Refused, ...]:
    """The alerts of a payload, in its order."""
    payload = _read(body)
    if payload is None:
        return generic.parse(read_json(body))
    items, group = payload
    return tuple(item if isinstance(item, Refused) else _alert(item, group) for item in items)


def _read(body: bytes) -> tuple[list[_Item | Refused], _Group] | None:
    """The items of a payload and what they share; None where it has no ``alerts``."""
    try:
        payload = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _read_one_by_one(read_json(body))
    items = [
        item if any(item.labels.values()) else Refused(f"alerts[{place}].labels", _NO_LABELS)
        for place, item in enumerate(payload.alerts)
    ]
    return items, _Group(payload.status, header_text(payload.groupKey, 1024) or None, payload.truncatedAlerts)


def _read_one_by_one(document: Any) -> tuple[list[_Item | Refused], _Group] | None:
    """The same for a payload of which some part has another type than it should."""
    if not isinstance(document, dict) or not isinstance(document.get("alerts"), list):
        return None
    truncated = document.get("truncatedAlerts")
    group = _Group(
        scalar_text(document.get("status")) or "",
        header_text(scalar_text(document.get("groupKey")) or "", 1024) or None,
        truncated if isinstance(truncated, int) else 0,
    )
    return [_tolerant(item, f"alerts[{place}]") for place, item in enumerate(document["alerts"])], group


def _tolerant(item: Any, path: str) -> _Item | Refused:
    """One item of which some part may have another type: what can be read is, and labels must be."""
    if not isinstance(item, dict):
        return Refused(path, "expected an object with labels")
    labels = item.get("labels")
    if not isinstance(labels, dict):
        return Refused(f"{path}.labels", "expected an object of text")
    for name, value in labels.items():
        if isinstance(value, list | dict):
            return Refused(f"{path}.labels.{header_text(name, 60)}", "expected text")
    if not any(scalar_map(labels).values()):
        return Refused(f"{path}.labels", _NO_LABELS)
    words = {name: scalar_text(item.get(name)) or "" for name in _Item.__struct_fields__}
    return _Item(
        labels=scalar_map(labels),
        annotations=scalar_map(item.get("annotations")),
        status=words["status"],
        startsAt=words["startsAt"],
        endsAt=words["endsAt"],
        generatorURL=words["generatorURL"],
        fingerprint=words["fingerprint"],
    )


def _alert(item: _Item, group: _Group) -> Alert:
    """The alert that an item is."""
    labels = clean_labels(item.labels)
    annotations = clean_annotations(item.annotations) if item.annotations else {}
    if group.truncated > 0:
        annotations["truncated_alerts"] = str(group.truncated)
    key = native_key(item.fingerprint) or fingerprint_of(item.labels)
    resource = resource_of(labels)
    return Alert(
        status=_status(item.status or group.status, labels),
        key=key,
        title=_title(labels, annotations, resource, key),
        summary=clean_text(annotations.get("description") or annotations.get("message") or "", TEXT_MAX),
        severity_hint=severity_hint(labels.get("severity")),
        resource=resource,
        service=header_text(labels.get("service", "")) or None,
        labels=labels,
        annotations=annotations,
        url=web_address(item.generatorURL),
        starts_at=parse_instant(item.startsAt),
        ends_at=parse_instant(item.endsAt),
        group_key=group.key,
    )


def _status(word: str, labels: Mapping[str, str]) -> AlertStatus:
    """The item's own word. A watchdog always fires: its absence is news, its presence never is."""
    if labels.get("alertname") == "Watchdog":
        return AlertStatus.IGNORED
    return status_word(word, _STATUSES)


def _title(labels: Mapping[str, str], annotations: Mapping[str, str], resource: str | None, key: str) -> str:
    """One line for a list: what the rule's author wrote, else the alert's name and the thing it is about."""
    written = header_text(annotations.get("summary") or annotations.get("title") or "", TITLE_MAX)
    if written:
        return written
    name = labels.get("alertname") or f"Alert {key[:16]}"
    return header_text(f"{name} on {resource}" if resource else name, TITLE_MAX)


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """Our own name for a label set, where the sender gives none that can be kept."""
    return digest_of(_pairs(labels))[:16]


def _pairs(labels: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(labels):
        if labels[name]:
            yield name
            yield labels[name]
