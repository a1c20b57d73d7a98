"""Every figure that the daemon shows at ``/metrics``, declared once: its help, its unit, and all values of its labels.

Labels come from closed sets, so that nothing from outside can make a new series (fault 63): what is not listed counts
as ``other``, and a source that is not configured as ``unknown``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from desk.answering import Unanswered
from incidents.effects import NoticeKind
from incidents.signal import Disposition
from store.errors import StoreError

PREFIX = "triaged_"
OTHER, UNKNOWN = "other", "unknown"
#: Stands for the names of ``sources:``, with the doors that are no source of their own.
SOURCES = ("{source}",)
DOORS = ("smtp", "lmtp", "submit", UNKNOWN)

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure. ``labels`` lists all values of each label; ``buckets`` are a histogram's upper bounds."""

    name: str
    kind: Kind
    help: str
    unit: str = ""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    buckets: Sequence[float] = ()


def _codes(error: type[StoreError]) -> Iterator[str]:
    """The last words of the store's error codes: ``busy`` of ``store.busy``."""
    yield error.code.rpartition(".")[2]
    for kind in error.__subclasses__():
        yield from _codes(kind)


_LIMITS = (
    "bare_newline", "files", "http_connections", "http_head", "http_malformed", "http_memory", "http_slow",
    "http_unread", "http_verb", "mime_depth", "smtp_budget", "smtp_command", "smtp_connections",
    "smtp_connections_per_source", "smtp_failure", "smtp_idle", "smtp_memory", "smtp_recipients", "smtp_size",
    "smtp_slow", "tls_handshake", OTHER,
)  # fmt: skip
_OUTCOMES = (
    "accepted", "kept", "repeated", "not_kept", "aborted", "unreadable", "malformed", "unauthorized", "method",
    "timeout", "too_large", "encoding", "media_type", "busy", "unavailable", OTHER,
)  # fmt: skip
_PRIORITIES = ("P1", "P2", "P3", "P4", "P5", OTHER)
_STAGES = ("claim", "load", "parse", "decide", "save", "commit", "timers", "compose", OTHER)
_FORMATS = ("mail", "alertmanager", "pagerduty", "json", OTHER)
_TARGETS = (
    "sla.respond", "sla.restore", "sla.resolve", "sla.next_update", "escalation", "close.auto", OTHER,
)  # fmt: skip
_SUPPRESSED = ("address_suppressed", "budget", "desk_budget", *map(str, Unanswered), OTHER)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

SERIES = (
    Series(
        name="ingest_total", kind="counter",
        help="Receipts at the doors: kept (accepted, at a webhook), kept before, or not kept and why.",
        labels={"source": SOURCES, "outcome": _OUTCOMES},
    ),
    Series(
        name="auth_fail_total", kind="counter", help="Wrong or missing tokens and passwords at the doors.",
        labels={"source": SOURCES},
    ),
    Series(
        name="limit_total", kind="counter", help="Times that a limit was met: too large, too slow, too many.",
        labels={"kind": _LIMITS},
    ),
    Series(
        name="commit_seconds", kind="histogram", unit="seconds",
        help="From the first receipt of a batch to its commit, the wait for the lock included.", buckets=_SECONDS,
    ),
    Series(
        name="commit_rows", kind="histogram", unit="receipts", help="Receipts that one commit of the doors kept.",
        buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    ),
    Series(
        name="db_error_total", kind="counter", help="Times that the store did not do what was asked.",
        labels={"kind": tuple(sorted({*_codes(StoreError), OTHER}))},
    ),
    Series(name="inbox_waiting", kind="gauge", unit="receipts", help="Receipts that wait for their turn."),
    Series(
        name="inbox_oldest_seconds", kind="gauge", unit="seconds",
        help="Age of the oldest receipt that waits; 0 when none does.",
    ),
    Series(
        name="signals_total", kind="counter", help="Signals by what became of them.",
        labels={"disposition": (*map(str, Disposition), OTHER)},
    ),
    Series(
        name="quarantine_total", kind="counter", help="Receipts given up until a person looks, by their format.",
        labels={"reason": _FORMATS},
    ),
    Series(
        name="quarantine_waiting", kind="gauge", unit="receipts", help="Receipts in quarantine now: look at them."
    ),
    Series(
        name="stage_seconds_total", kind="counter", unit="seconds",
        help="Processor time of the workers, by the stage of a turn.", labels={"stage": _STAGES},
    ),
    Series(
        name="turn_seconds", kind="histogram", unit="seconds",
        help="Processor time of one round of a worker that had something to do.", buckets=_SECONDS,
    ),
    Series(
        name="incidents_open", kind="gauge", unit="records",
        help="Records that somebody still has to do something for; counted less often where that takes long.",
        labels={"priority": _PRIORITIES},
    ),
    Series(
        name="targets", kind="gauge", unit="targets",
        help="Clocks of open records: running, paused, or over; counted less often where that takes long.",
        labels={"name": _TARGETS, "state": ("running", "paused", "over")},
    ),
    Series(name="timers_total", kind="counter", help="Timers that fired."),
    Series(
        name="timers_late_seconds", kind="gauge", unit="seconds",
        help="By how much the timer that waits longest is late; 0 when none is due.",
    ),
    Series(
        name="outbox_total", kind="counter",
        help="Attempts to hand a notification over, by what it is and by result; what could not be composed failed.",
        labels={
            "channel": ("mail",), "kind": (*map(str, NoticeKind), OTHER),
            "outcome": ("delivered", "delayed", "failed", "expired", "superseded"),
        },
    ),
    Series(
        name="outbox_oldest_seconds", kind="gauge", unit="seconds",
        help="Age of the oldest notification that still has to go out; 0 when none has.",
    ),
    Series(
        name="pages_oldest_seconds", kind="gauge", unit="seconds",
        help="Age of the oldest page that still has to go out: escalation, deadline, or the notice of several.",
    ),
    Series(
        name="outbox_held", kind="gauge",
        help="1 while deliveries are held, after a restore or by hand: `triagectl outbox release` lets them go.",
    ),
    Series(
        name="suppressed_total", kind="counter", help="Automatic mails that were not sent, by reason.",
        labels={"reason": _SUPPRESSED},
    ),
    Series(name="worker_restarts_total", kind="counter", help="Worker processes that ended by themselves."),
    Series(name="parser_restarts_total", kind="counter", help="Mail parsers that were killed or ended by themselves."),
    Series(name="log_dropped_total", kind="counter", help="Log lines dropped because nobody took them."),
    Series(
        name="clock_jump_total", kind="counter",
        help="Times that this host's clock was set by more than a minute while the daemon ran.",
    ),
    Series(
        name="config_last_reload_success", kind="gauge",
        help="1 when the policy in force is what the files say, 0 when they were refused.",
    ),
    Series(name="ready", kind="gauge", help="1 while work is taken at the doors, 0 while senders are turned away."),
    Series(
        name="wal_pages", kind="gauge", unit="pages",
        help="Pages of SQLite's log that wait to be moved into the database; many while somebody looks for long.",
    ),
    Series(
        name="disk_free_bytes", kind="gauge", unit="bytes", help="Free on the disk of the state folder.",
    ),
    Series(
        name="disk_free_ratio", kind="gauge", help="The part of the state folder's disk that is free, from 0 to 1.",
    ),
    Series(
        name="build_info", kind="gauge", help="Always 1; the label says which version runs.",
        labels={"version": ("{version}",)},
    ),
)  # fmt: skip

_PAGE = """# Metrics

This page is written from the code by `python -m daemon.reference`; a test fails when it differs.

`GET /metrics` shows them in the text format of Prometheus. Every name begins with `triaged_`. Label values come from
closed sets: what is not listed here counts as `other`. `{source}` stands for the names of `sources:` and for `smtp`,
`lmtp`, `submit` and `unknown`; `{version}` for the version that runs. A histogram has the usual `_bucket`, `_sum` and
`_count`. Gauges are read from the store every five seconds, not at each scrape.

| name | kind | unit | what it says | labels |
|---|---|---|---|---|
"""


def metrics_page() -> str:
    """The reference page of all figures."""
    return _PAGE + "".join(f"{_line(one)}\n" for one in SERIES)


def _line(series: Series) -> str:
    labels = "; ".join(f"`{name}`: {' '.join(f'`{one}`' for one in values)}" for name, values in series.labels.items())
    bounds = "up to " + " ".join(f"{bound:g}" for bound in series.buckets) if series.buckets else ""
    return f"| `{PREFIX}{series.name}` | {series.kind} | {series.unit} | {series.help} | {labels or bounds} |"
