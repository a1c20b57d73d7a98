"""P3, P4, P6: what is worked while it arrives, offered at a fixed rate whatever comes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console

from benchmarks import clients
from benchmarks.clients import Numbers, Sent, percentile
from benchmarks.desk import RECIPIENT, Backlog, RunningDesk, running_desk
from benchmarks.measured import Effort, Measured, by_stage
from benchmarks.traffic import varied_mails, webhook_posts

BATCH = 10
_POOL = 1_000
_CONNECTIONS = 8
#: A rate is sustained when nothing older than this waits at its end, and all that was offered was taken in time.
_OLDEST_SECONDS = 0.5
_TAKEN = 0.98


@dataclass(slots=True)
class Watch:
    """Looks at the backlog while something else sends: each second, and as often as it can for latencies."""

    desk: RunningDesk
    every: float
    seen: list[tuple[float, Backlog]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(self.every):
            self.seen.append((time.perf_counter(), self.desk.backlog()))

    def told(self) -> str:
        """The backlog and its age, second by second."""
        return " ".join(f"{backlog.waiting}/{backlog.oldest_seconds:.1f}s" for _, backlog in self.seen)


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of a rate that was offered: items a second, and microseconds of processor time an item by stage."""

    rate: float
    sent: Sent
    sustained: bool
    stages: dict[str, float]


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to send at a rate: ``each`` items a message; ``send`` takes messages a second, and seconds."""

    desk: RunningDesk
    what: str
    each: int
    send: Callable[[float, float], Sent]

    def warm(self) -> None:
        """A second of it: statements are compiled, caches filled, and what will repeat is known."""
        self.send(100, 1.2)
        self.desk.wait_worked()

    def at(self, rate: float, seconds: float, console: Console) -> Offered:
        """Offer ``rate`` items a second, tell what the backlog did, and wait until all is worked."""
        before = self.desk.stages()
        with Watch(self.desk, 1.0) as watch:
            sent = self.send(rate / self.each, seconds)
            age = self.desk.backlog().oldest_seconds
        items = sent.done * self.each
        in_time = sent.seconds <= seconds + _OLDEST_SECONDS and items >= rate * seconds * _TAKEN
        sustained = in_time and not sent.errors and age <= _OLDEST_SECONDS
        self.desk.wait_worked()
        stages = by_stage(before, self.desk.stages(), items)
        console.print(
            f"  {self.what} {rate:,}/s {'' if sustained else 'not '}sustained; waiting/age by second: {watch.told()}; "
            f"p99 to yes {sent.percentile(0.99):.1f} ms; CPU µs {stages}; errors {sent.errors or 'none'}"
        )
        return Offered(rate, sent, sustained, stages)

    def climb(self, rates: Sequence[float], seconds: float, console: Console) -> list[Offered]:
        """Offer one rate after the other until one is not sustained; those that were."""
        sustained = []
        for rate in rates:
            offered = self.at(rate, seconds, console)
            if not offered.sustained:
                break
            sustained.append(offered)
        return sustained


def alerts(desk: RunningDesk, what: str, *, pool: int = 0) -> Offer:
    """Posts of ten alerts."""
    posts, numbers = webhook_posts(BATCH), Numbers(BATCH, again_after=pool)

    def send(rate: float, seconds: float) -> Sent:
        return clients.post(
            desk.webhook, lambda: posts.make(numbers()), connections=_CONNECTIONS, seconds=seconds, rate=rate
        )

    return Offer(desk, what, BATCH, send)


def mails(desk: RunningDesk) -> Offer:
    """Varied mails."""
    varied, numbers = varied_mails(), Numbers(1)

    def send(rate: float, seconds: float) -> Sent:
        return clients.mail(
            desk.smtp, lambda: varied.make(numbers()), recipient=RECIPIENT, connections=_CONNECTIONS, seconds=seconds,
            rate=rate,
        )  # fmt: skip

    return Offer(desk, "mails", 1, send)


def p3(effort: Effort, console: Console) -> Iterator[Measured]:
    """Alerts worked while they arrive: the highest of a few rates that is sustained."""
    for kind, pool, rates, (must, aim) in (
        ("repeated", _POOL, (4_000, 8_000, 15_000), (8_000, 15_000)),
        ("distinct", 0, (2_000, 3_000, 4_000, 6_000), (4_000, 6_000)),
    ):
        with running_desk() as desk:
            offer = alerts(desk, kind, pool=pool)
            offer.warm()
            sustained = offer.climb(rates, effort.seconds * 3, console)
        best = sustained[-1] if sustained else None
        more = {"stages": best.stages, "p99_ms": best.sent.percentile(0.99)} if best else {}
        rate = best.rate if best else 0.0
        yield Measured("P3", f"{kind} worked while arriving", rate, "alerts/s", must, aim, more=more)
        for offered in sustained:
            if offered.rate == must:
                p99 = offered.sent.percentile(0.99)
                yield Measured("P4", f"p99 to yes at {must:,} {kind}/s", p99, "ms", 25, 15, most=True)


def p4(effort: Effort, console: Console) -> Iterator[Measured]:
    """At 1,000 alerts a second: how long until yes, and until worked."""
    with running_desk() as desk:
        offer = alerts(desk, "distinct")
        offer.warm()
        with Watch(desk, 0.002) as watch:
            sent = offer.send(1_000 / BATCH, effort.seconds * 3)
            desk.wait_worked()
    worked = list(_worked_after(sent, watch))
    console.print(f"  until worked: p50 {percentile(worked, 0.5) * 1e3:.1f} ms, looked at every 2 ms")
    yield Measured("P4", "p99 to yes at 1,000/s", sent.percentile(0.99), "ms", 15, 8, most=True)
    yield Measured("P4", "p99 to worked at 1,000/s", percentile(worked, 0.99) * 1e3, "ms", 100, 30, most=True)


def _worked_after(sent: Sent, watch: Watch) -> Iterator[float]:
    """For each receipt the time from due until a look found nothing waiting up to it."""
    looks = iter(watch.seen)
    at, backlog = next(looks, (0.0, Backlog(0, None, 0.0)))
    for receipt, due in sorted(sent.receipts):
        while at < due or (backlog.lowest is not None and backlog.lowest <= receipt):
            look = next(looks, None)
            if look is None:
                return
            at, backlog = look
        yield at - due


def p6(effort: Effort, console: Console) -> Iterator[Measured]:
    """Mails worked to an incident with its acknowledgement in the outbox, while they arrive."""
    with running_desk() as desk:
        offer = mails(desk)
        offer.warm()
        sustained = offer.climb((100, 200, 400, 700), effort.seconds * 3, console)
        told = desk.count("outbox", "kind = 'acknowledgement' AND state <> 'suppressed'")
    best = sustained[-1] if sustained else None
    more = {"acknowledgements": told, "stages": best.stages if best else {}}
    yield Measured("P6", "mails worked while arriving", best.rate if best else 0.0, "mails/s", 400, 700, more=more)
