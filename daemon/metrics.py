"""The figures of one daemon, on a registry of its own. Counting is a dictionary look-up; a scrape asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from daemon import logs
from daemon.gauges import Pace, count_open, read_standing
from daemon.outbox import Handover, outcome_of
from daemon.series import DOORS, OTHER, PREFIX, SERIES, SOURCES, UNKNOWN, Series
from store.engine import Store

Child = Counter | Gauge | Histogram
_KINDS: Mapping[str, type[Counter | Gauge]] = {"counter": Counter, "gauge": Gauge}
#: Looking at every open record takes at most a two-hundredth of a processor.
_REST = 200

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, that nobody reads


class Metrics:
    """All series of `daemon.series`, present from the start. ``sources`` are the configuration's names.

    ``dropped`` gives the log lines dropped since the process began.
    """

    def __init__(self, sources: Iterable[str], *, dropped: Callable[[], int] = logs.dropped) -> None:
        self._registry = CollectorRegistry()
        self._values: dict[tuple[str, ...], tuple[str, ...]] = {
            SOURCES: tuple(dict.fromkeys((*sources, *DOORS))), ("{version}",): (_version(),),
        }  # fmt: skip
        self._children: dict[tuple[str, ...], Child] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._allowed: dict[str, tuple[frozenset[str], ...]] = {}
        self._dropped, self._dropped_before = dropped, 0
        self._counting = Pace(_REST)
        for series in SERIES:
            self._declare(series)
        self._gauge("build_info", _version()).set(1)
        self._gauge("config_last_reload_success").set(1)

    def _declare(self, series: Series) -> None:
        names = tuple(series.labels)
        values = [self._values.get(tuple(some), tuple(some)) for some in series.labels.values()]
        name = PREFIX + series.name
        family: Child
        if series.kind == "histogram":
            family = Histogram(name, series.help, names, registry=self._registry, buckets=series.buckets)
        else:
            family = _KINDS[series.kind](name, series.help, names, registry=self._registry)
        self._labels[series.name] = names
        self._allowed[series.name] = tuple(map(frozenset, values))
        for combination in product(*values):
            self._children[series.name, *combination] = family.labels(*combination) if names else family

    # ------------------------------------------------------------------ events of the daemon's own process

    def count(self, name: str, **labels: str) -> None:
        """One more of ``name``; a label value that is not declared counts as other or unknown."""
        self._add(name, [labels[label] for label in self._labels[name]], 1)

    def committed(self, rows: int, seconds: float) -> None:
        """The committer kept ``rows`` receipts; it took ``seconds``."""
        self._histogram("commit_rows").observe(rows)
        self._histogram("commit_seconds").observe(seconds)

    def handed_over(self, done: Handover) -> None:
        """A round of handing mail over."""
        for verdict in done.verdicts:
            outcome = outcome_of(verdict)
            if outcome is not None:
                self._add("outbox_total", ("mail", verdict.outgoing.kind, outcome), 1)

    def store_error(self, code: str) -> None:
        """The store did not do what was asked; ``code`` is the error's."""
        self._add("db_error_total", (code.rpartition(".")[2],), 1)

    def worker_ended(self) -> None:
        """A worker process ended by itself."""
        self._add("worker_restarts_total", (), 1)

    def reloaded(self, *, success: bool) -> None:
        """The policy was read again."""
        self._gauge("config_last_reload_success").set(int(success))

    def ready(self, *, ready: bool) -> None:
        """Whether work is taken."""
        self._gauge("ready").set(int(ready))

    def log_pages(self, waiting: int | None) -> None:
        """The pages that wait in SQLite's log; None where nobody looked."""
        if waiting is not None:
            self._gauge("wal_pages").set(waiting)

    def disk(self, *, free: int, total: int) -> None:
        """The room on the state folder's disk, in bytes."""
        self._gauge("disk_free_bytes").set(free)
        self._gauge("disk_free_ratio").set(free / total if total else 0)

    # ------------------------------------------------------------------ what workers report, and what the store holds

    def apply_report(self, report: Mapping[str, Any]) -> None:
        """Add what one round of a worker did (`daemon.worker.Report`, as it came over the pipe)."""
        for name, series in (
            ("dispositions", "signals_total"), ("quarantined", "quarantine_total"),
            ("suppressed", "suppressed_total"), ("stages", "stage_seconds_total"), ("limits", "limit_total"),
        ):  # fmt: skip
            for value, amount in (report.get(name) or {}).items():
                self._add(series, (str(value),), amount)
        for kind, amount in (report.get("not_composed") or {}).items():
            self._add("outbox_total", ("mail", kind, "failed"), amount)
        self._add("timers_total", (), report.get("timers") or 0)
        self._add("parser_restarts_total", (), report.get("parser_restarts") or 0)
        stages = report.get("stages") or {}
        if stages:
            self._histogram("turn_seconds").observe(sum(stages.values()))

    def refresh(self, store: Store, now: datetime) -> None:
        """Read the gauges anew; called by maintenance, so that no scrape waits for the store."""
        with store.reading() as connection:
            standing = read_standing(connection, now)
        for name in (
            "inbox_waiting", "inbox_oldest_seconds", "quarantine_waiting", "outbox_oldest_seconds", "outbox_held",
            "pages_oldest_seconds", "timers_late_seconds",
        ):  # fmt: skip
            self._gauge(name).set(getattr(standing, name))
        if self._counting.due():
            self._count(store, now)

    def _count(self, store: Store, now: datetime) -> None:
        with self._counting.taking(), store.reading() as connection:
            counted = count_open(connection, now)
        self._set_all("incidents_open", {(priority,): count for priority, count in counted.open.items()})
        self._set_all("targets", counted.clocks)

    def render(self) -> bytes:
        """The figures, as Prometheus reads them."""
        dropped = self._dropped()
        self._add("log_dropped_total", (), dropped - self._dropped_before)
        self._dropped_before = dropped
        return generate_latest(self._registry)

    # ------------------------------------------------------------------ parts

    def _add(self, name: str, values: Iterable[str], amount: float) -> None:
        child = self._children.get((name, *values)) or self._children[name, *self._closed(name, values)]
        if not isinstance(child, Counter):
            raise TypeError(f"{name} is no counter")
        child.inc(max(amount, 0))

    def _set_all(self, name: str, counted: Mapping[tuple[str, ...], int]) -> None:
        """Set every combination of a gauge: those that are not counted are 0."""
        sums: dict[tuple[str, ...], int] = {}
        for values, count in counted.items():
            closed = self._closed(name, values)
            sums[closed] = sums.get(closed, 0) + count
        for combination in product(*self._allowed[name]):
            self._gauge(name, *combination).set(sums.get(combination, 0))

    def _closed(self, name: str, values: Iterable[str]) -> tuple[str, ...]:
        """The values as declared: what is not is other or unknown; a path of escalation is ``escalation``."""
        return tuple(
            value if value in allowed else _outside(value, allowed)
            for value, allowed in zip(values, self._allowed[name], strict=True)
        )

    def _gauge(self, name: str, *values: str) -> Gauge:
        child = self._children[name, *values]
        assert isinstance(child, Gauge)
        return child

    def _histogram(self, name: str) -> Histogram:
        child = self._children[name,]
        assert isinstance(child, Histogram)
        return child


def _outside(value: str, allowed: frozenset[str]) -> str:
    first = value.partition(".")[0]
    if first in allowed:
        return first
    return UNKNOWN if UNKNOWN in allowed else OTHER


def _version() -> str:
    try:
        return version("triaged")
    except PackageNotFoundError:
        return UNKNOWN
