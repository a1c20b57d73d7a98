"""What the formats of machines share: clean labels, words for severity, keys for things without a name.

Text of a sender is data everywhere: names and values are cleaned and cut here, once, before anything reads them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from incidents.signal import AlertStatus
from kit.text import clean_text, header_text

LABELS_MAX = 64  # fault 53; what a person reads at a glance is far less
NAME_MAX = 128
VALUE_MAX = 1024
TEXT_MAX = 16_384
TITLE_MAX = 200
KEY_MAX = 255  # PagerDuty's own bound for a dedup_key

#: Labels that rules and people look for first: they stay when the rest is cut.
_FIRST = (
    "alertname",
    "severity",
    "service",
    "instance",
    "host",
    "pod",
    "node",
    "namespace",
    "job",
    "env",
    "cluster",
    "team",
)
_RESOURCE = ("instance", "host", "hostname", "pod", "node", "device")
_UNSAFE_KEY = re.compile(r"[^\x21-\x7e]")

#: The words for severity that labels carry in the field, and what they hint at. The policy's table says what a level
#: means, by default: sev1 high impact and urgency (P1), sev2 P2, sev3 P3, sev4 P4.
SEVERITY_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("critical", "crit", "page", "fatal", "emergency", "disaster", "alert", "p1", "sev1"), "sev1"),
    **dict.fromkeys(("error", "err", "high", "major", "p2", "sev2"), "sev2"),
    **dict.fromkeys(("warning", "warn", "medium", "moderate", "average", "minor", "ticket", "p3", "sev3"), "sev3"),
    **dict.fromkeys(("info", "information", "informational", "notice", "low", "p4", "p5", "sev4"), "sev4"),
}


def severity_hint(word: str | None) -> str | None:
    """What a sender's word hints at; None for a word outside of the table.

    >>> severity_hint("Critical"), severity_hint("purple")
    ('sev1', None)
    """
    return SEVERITY_WORDS.get(word.strip().lower()) if word else None


def clean_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Names and values as they are kept: cleaned, cut, without empty values, at most ``LABELS_MAX``."""
    if _plain(labels, VALUE_MAX):
        return {name: value for name, value in labels.items() if name and value}
    kept = labels if len(labels) <= LABELS_MAX else _kept_names(labels)
    cleaned = ((header_text(name, NAME_MAX), clean_text(labels[name], VALUE_MAX)) for name in kept)
    return {name: value for name, value in cleaned if name and value}


def _plain(pairs: Mapping[str, str], longest: int) -> bool:
    """Whether nothing is to be cleaned or cut, as with nearly all: one look at all of them instead of one at each."""
    names, values = "".join(pairs), "".join(pairs.values())
    clean = names.isascii() and names.isprintable() and " " not in names and values.isascii() and "\x00" not in values
    return clean and len(names) <= NAME_MAX and len(values) <= longest and len(pairs) <= LABELS_MAX


def _kept_names(labels: Mapping[str, str]) -> list[str]:
    """The names that stay of too many: those that rules read, then by alphabet."""
    first = [name for name in _FIRST if name in labels]
    return first + sorted(name for name in labels if name not in _FIRST)[: LABELS_MAX - len(first)]


def clean_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """Like labels, but whole paragraphs are welcome."""
    if _plain(annotations, TEXT_MAX):
        return {name: text for name, text in annotations.items() if name and text}
    cleaned = ((header_text(name, NAME_MAX), clean_text(text, TEXT_MAX)) for name, text in annotations.items())
    return {name: text for name, text in list(cleaned)[:LABELS_MAX] if name and text}


def resource_of(labels: Mapping[str, str]) -> str | None:
    """The thing that labels speak of, by the name that says most."""
    for name in _RESOURCE:
        if value := labels.get(name):
            return header_text(value) or None
    return None


def native_key(text: str) -> str | None:
    """A sender's own name for a thing when it can be kept as it is, else its hash; None for an empty one."""
    if not text or not text.strip():
        return None
    if len(text) <= KEY_MAX and not _UNSAFE_KEY.search(text):
        return text
    return digest_of([text])


def digest_of(parts: Iterable[str]) -> str:
    """A name for what has none: 32 hex digits of SHA-256 over the parts in their order."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:32]


def web_address(text: Any) -> str | None:
    """A link that may be shown as one: http or https only (fault 64), without spaces or control characters."""
    if not isinstance(text, str) or not text[:8].lower().startswith(("http://", "https://")):
        return None
    cleaned = header_text(text, 2048)
    return cleaned if " " not in cleaned else None


def scalar_text(value: Any) -> str | None:
    """A scalar of JSON as text; None for null, lists and objects.

    >>> scalar_text(True), scalar_text(5), scalar_text([1])
    ('true', '5', None)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)[:400]
    return None


def shown(value: Any) -> str:
    """Any value of JSON as text for a person."""
    text = scalar_text(value)
    if text is not None:
        return text
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deep to be shown)"


def scalar_map(value: Any) -> dict[str, str]:
    """The scalars of a JSON object as text; all else of it is left out."""
    if not isinstance(value, dict):
        return {}
    texts = ((name, scalar_text(item)) for name, item in value.items())
    return {name: text for name, text in texts if text is not None}


def status_word(word: str | None, words: Mapping[str, AlertStatus]) -> AlertStatus:
    """The status of a sender's word. An unknown one opens, it never resolves."""
    return words.get((word or "").strip().lower(), AlertStatus.FIRING)
