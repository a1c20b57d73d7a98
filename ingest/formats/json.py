"""The generic shape for everything that can post JSON; `docs/alerts.md` shows it to users."""

from __future__ import annotations

from incidents.signal import Alert, Refused
from ingest import generic
from ingest.payload import read_json
from ingest.spec import Shape


def shape(body: bytes) -> Shape:
    """How many events of a payload can be read, and which can't."""
    return generic.shape(read_json(body))


def parse(body: bytes) -> tuple[Alert | Refused, ...]:
    """The alerts of a payload, in its order."""
    return generic.parse(read_json(body))
