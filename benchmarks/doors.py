"""P1, P2, P5: what the doors accept, beside Alertmanager and Postfix, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
from rich.console import Console

from benchmarks import clients
from benchmarks.clients import Numbers, Posting, Sent
from benchmarks.desk import RECIPIENT, NotMeasured, RunningDesk, cpu_seconds, running_desk
from benchmarks.measured import Effort, Measured, middle
from benchmarks.peers import alertmanager, postfix
from benchmarks.traffic import Posts, alertmanager_posts, varied_mails, webhook_posts

#: How many alerts are said again and again.
_POOL = 1_000
_HOW = {"alone": "doors alone", "working": "while worked"}


class Leg:
    """One of those that take turns: alerts or mails a second, and processor time of each, round after round."""

    def __init__(self, send: Callable[[], Sent]) -> None:
        self._send = send
        self.items = 1
        self.processes: list[psutil.Process] = []
        self.rates: list[float] = []
        self.micros: list[float] = []
        self.p99: list[float] = []

    def run(self) -> None:
        """Take one turn."""
        before = cpu_seconds(self.processes)
        sent = self._send()
        spent = cpu_seconds(self.processes) - before
        if sent.errors or not sent.done:
            raise NotMeasured(f"some were not taken: {sent.errors or 'nothing was answered'}")
        self.rates.append(sent.rate * self.items)
        self.micros.append(spent / (sent.done * self.items) * 1e6)
        self.p99.append(sent.percentile(0.99))

    @property
    def more(self) -> dict[str, float]:
        """For the JSON."""
        return {"cpu_us": round(middle(self.micros), 1), "p99_ms": round(middle(self.p99), 2)}


def p1(effort: Effort, console: Console) -> Iterator[Measured]:
    """Alerts accepted in batches of ten over eight connections."""
    for repeated in (False, True):
        yield from _accepted(
            effort, console, goal="P1", batch=10, connections=8, repeated=repeated,
            bounds={"alone": (1.0, 1.4), "working": (0.6, 1.0)},
        )  # fmt: skip


def p2(effort: Effort, console: Console) -> Iterator[Measured]:
    """Single alerts over 8 and 32 connections."""
    for connections, (must, aim) in ((8, (5_000, None)), (32, (8_000, 12_000))):
        for measured in _accepted(
            effort, console, goal="P2", batch=1, connections=connections, repeated=False,
            bounds={"alone": (0.3, 0.45)},
        ):  # fmt: skip
            yield measured
            what = f"distinct, single, {connections} connections, as a rate"
            yield Measured("P2", what, measured.value, "alerts/s", must=must, aim=aim)


def _accepted(
    effort: Effort, console: Console, *, goal: str, batch: int, connections: int, repeated: bool,
    bounds: dict[str, tuple[float, float]],
) -> Iterator[Measured]:  # fmt: skip
    kind, pool = ("repeated", _POOL) if repeated else ("distinct", 0)
    with ExitStack() as stack:
        desk = stack.enter_context(running_desk())
        peer = _peer(stack, console)
        legs = {
            name: _posting(desk.webhook, _bodies(webhook_posts(batch), pool), effort, connections) for name in bounds
        }
        for leg in legs.values():
            leg.processes = desk.daemon
        if peer is not None:
            legs["peer"] = _posting(peer[0], _bodies(alertmanager_posts(batch), pool), effort, connections)
            legs["peer"].processes = [peer[1]]
        for leg in legs.values():
            leg.items = batch
        _take_turns(desk, legs, effort.rounds)
    theirs = legs.pop("peer", None)
    for name, leg in legs.items():
        must, aim = bounds[name] if theirs else (None, None)
        more = {**leg.more, "peer_cpu_us": theirs.more["cpu_us"]} if theirs else leg.more
        yield Measured(
            goal, f"{kind}, batch {batch}, {connections} connections, {_HOW[name]}", middle(leg.rates), "alerts/s",
            peer=middle(theirs.rates) if theirs else None, must=must, aim=aim, more=more,
        )  # fmt: skip


def _peer(stack: ExitStack, console: Console) -> tuple[Posting, psutil.Process] | None:
    try:
        return stack.enter_context(alertmanager())
    except NotMeasured as error:
        console.print(f"  no peer: {error}")
        return None


def _bodies(posts: Posts, pool: int) -> Callable[[], bytes]:
    numbers = Numbers(posts.batch, again_after=pool)
    return lambda: posts.make(numbers())


def _posting(to: Posting, make: Callable[[], bytes], effort: Effort, connections: int) -> Leg:
    return Leg(lambda: clients.post(to, make, connections=connections, seconds=effort.seconds))


def _take_turns(desk: RunningDesk, legs: dict[str, Leg], rounds: int) -> None:
    """Everybody in turn, so that all see the same machine; workers work in the leg of that name only."""
    for _ in range(rounds):
        for name, leg in legs.items():
            if name == "working":
                desk.go_on()
                leg.run()
                desk.pause()
            else:
                desk.pause()
                leg.run()
    desk.go_on()


def p5(effort: Effort, console: Console) -> Iterator[Measured]:
    """Varied mail over eight connections."""
    with ExitStack() as stack:
        desk = stack.enter_context(running_desk())
        legs = {name: _mailing(desk.smtp, effort) for name in ("alone", "working")}
        for leg in legs.values():
            leg.processes = desk.daemon
        try:
            legs["peer"] = _mailing(stack.enter_context(postfix()), effort)
        except NotMeasured as error:
            console.print(f"  no peer: {error}")
        _take_turns(desk, legs, effort.rounds)
    theirs = legs.pop("peer", None)
    for name, leg in legs.items():
        must, aim = (1.0, 2.0) if theirs and name == "alone" else (None, None)
        yield Measured(
            "P5", f"varied mail, 8 connections, {_HOW[name]}", middle(leg.rates), "mails/s",
            peer=middle(theirs.rates) if theirs else None, must=must, aim=aim, more=leg.more,
        )  # fmt: skip


def _mailing(port: int, effort: Effort) -> Leg:
    mails, numbers = varied_mails(), Numbers(1)
    return Leg(
        lambda: clients.mail(
            port, lambda: mails.make(numbers()), recipient=RECIPIENT, connections=8, seconds=effort.seconds
        )
    )
