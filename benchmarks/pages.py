"""P9: what people and monitoring look at, with years behind it: 200,000 incidents and a million signals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from sqlalchemy import Connection

from benchmarks.desk import running_desk
from benchmarks.history import fill
from benchmarks.measured import Effort, Measured, middle
from daemon.clock import utc_now
from daemon.gauges import count_open, read_standing
from rules.lifecycle import STATES
from store.engine import Store
from store.listing.incidents import Wanted, all_assessments, list_incidents, show_incident
from store.listing.outbox import list_outbox
from store.listing.signals import Asked, list_signals
from store.listing.timeline import list_timeline

_INCIDENTS = 200_000
_PAGES = ("/", "/metrics", "/readyz")
_LIMIT = 50
_TIMES = 5
_RECORD, _NUMBER = 100_000, 101_000

Reading = Callable[[Connection], Any]


def _records(**wanted: Any) -> Reading:
    return lambda connection: list_incidents(connection, Wanted(**wanted), limit=_LIMIT)


def _signals(**asked: Any) -> Reading:
    return lambda connection: list_signals(connection, Asked(**asked), limit=_LIMIT)


def _outbox(*states: str) -> Reading:
    return lambda connection: list_outbox(connection, states=states, limit=_LIMIT)


def _why(connection: Connection) -> None:
    show_incident(connection, _NUMBER)
    all_assessments(connection, _RECORD)
    list_signals(connection, Asked(incident=_RECORD), limit=_LIMIT)


#: What each command reads, by its words; a list that finds nothing has to look the longest.
_COMMANDS: Mapping[str, Reading] = {
    "incident list": _records(),
    "incident list --team nobody": _records(team="nobody"),
    "incident list --priority P1": _records(priority="P1"),
    "incident list --state waiting_vendor": _records(states=("waiting_vendor",)),
    "incident list --state closed": _records(states=("closed",)),
    "incident list --state any": _records(states=STATES),
    "incident show": lambda connection: show_incident(connection, _NUMBER),
    "incident why": _why,
    "incident timeline": lambda connection: list_timeline(connection, _RECORD),
    "signal list": _signals(),
    "signal list --state quarantined": _signals(state="quarantined"),
    "signal list --state waiting": _signals(state="waiting"),
    "signal list --disposition spam": _signals(disposition="spam"),
    "outbox list": _outbox(),
    "outbox list --state dead": _outbox("dead"),
    "outbox list --state waiting": _outbox("waiting"),
    "gauges": lambda connection: read_standing(connection, utc_now()),
}


def p9(effort: Effort, console: Console) -> Iterator[Measured]:
    """Every page, list and the metrics, with a tenth of all incidents open and with all."""
    count = effort.count(_INCIDENTS)
    for what, open_every in (("a tenth", 10), ("all", 1)):
        with running_desk() as desk:
            console.print(f"  putting {count:,} incidents there, {what} open")
            fill(desk.store, incidents=count, open_every=open_every)
            for page in _PAGES:
                took = middle([desk.timed_get(page) for _ in range(_TIMES)])
                yield _measured(f"GET {page}, {what} open", took)
            for words, reading in _COMMANDS.items():
                yield _measured(f"{words}, {what} open", _timed(desk.store, reading))
            counting = _timed(desk.store, lambda connection: count_open(connection, utc_now()))
            console.print(f"  counting what is open takes {counting * 1e3:.0f} ms, which is done the less often")


def _measured(what: str, seconds: float) -> Measured:
    return Measured("P9", what, seconds * 1e3, "ms", 100, 30, most=True)


def _timed(store: Store, reading: Reading) -> float:
    """How long it takes to read, in seconds."""
    took = []
    for _ in range(_TIMES):
        with store.reading() as connection:
            begun = time.perf_counter()
            reading(connection)
            took.append(time.perf_counter() - begun)
    return middle(took)
