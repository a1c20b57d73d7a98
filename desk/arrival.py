"""A receipt on the table of a turn: what its signals share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from incidents.signal import Item


@dataclass(frozen=True, slots=True)
class Arrival:
    """A claimed receipt and the items that its bytes say. ``signal_key`` is a mail's; alerts make their own."""

    id: int
    source: str
    received_at: datetime
    items: Sequence[Item]
    envelope: Mapping[str, Any]
    signal_key: bytes | None = None
