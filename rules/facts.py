"""The one flat vocabulary that conditions and matchers read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple


class Facts(NamedTuple):
    """What is known of a signal, or of the record it belongs to, when a rule is asked.

    ``origin`` is ``mail``, ``alert`` or ``submission`` (policy writes it ``from:``). ``service``, ``category``,
    ``kind``, ``impact``, ``urgency``, ``severity``, ``priority`` and ``team`` are None until they are decided.
    """

    origin: str
    source: str
    at: datetime
    title: str
    text: str = ""
    subject: str = ""
    sender: str = ""
    recipient: str = ""
    labels: Mapping[str, str] = MappingProxyType({})
    resource: str | None = None
    service: str | None = None
    category: str | None = None
    kind: str | None = None
    impact: str | None = None
    urgency: str | None = None
    severity: str | None = None
    priority: str | None = None
    team: str | None = None
    state: str | None = None
