"""The clients: HTTP and SMTP over a few connections, on loopback only, bounded in count and time.

A closed loop sends the next when the last is answered and shows how much is taken. An open loop sends when it is due,
whatever came of the others, and counts latency from then: it shows what waiting does.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import uvloop

LOOPBACK = "127.0.0.1"
MOST_SECONDS = 120.0
MOST_CONNECTIONS = 64
_STUCK_SECONDS = 15.0

Make = Callable[[], bytes]


@dataclass(slots=True)
class Sent:
    """What came of some sending.

    ``latencies`` are in seconds; ``receipts`` the ids in the answers, each with when its post was due.
    """

    seconds: float = 0.0
    done: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    receipts: list[tuple[int, float]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests or mails a second."""
        return self.done / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """That percentile of the latencies in milliseconds."""
        return percentile(self.latencies, share) * 1e3

    def failed(self, what: str) -> None:
        """Count a failure."""
        self.errors[what] = self.errors.get(what, 0) + 1


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of all are not above; 0 for none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class _Work:
    """What all connections of one run share: when each request is due, and what came of it."""

    def __init__(self, make: Make, *, rate: float | None, seconds: float) -> None:
        self.make, self.rate, self.sent = make, rate, Sent()
        self.began_at = time.perf_counter()
        self.ends_at = self.began_at + min(seconds, MOST_SECONDS)
        self.issued = 0

    def next_due(self) -> float | None:
        """When the next request is due; None when there is no more."""
        now = time.perf_counter()
        due = now if self.rate is None else self.began_at + self.issued / self.rate
        if due >= self.ends_at or now > self.ends_at + _STUCK_SECONDS:
            return None
        self.issued += 1
        return due

    def done(self, due: float) -> None:
        """One was answered with yes."""
        self.sent.done += 1
        self.sent.latencies.append(time.perf_counter() - due)


class _Connection(asyncio.Protocol):
    """One connection of a run; ends when there is no more to send or something fails."""

    def __init__(self, work: _Work) -> None:
        loop = asyncio.get_running_loop()
        self.work, self.over = work, loop.create_future()
        self._loop, self._due = loop, 0.0
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.work.sent.failed("closed" if exc is None else type(exc).__name__)
            self.over.set_result(None)

    def begin(self) -> None:
        """The connection stands."""
        self.next()

    def next(self) -> None:
        """Send the next request when it is due."""
        due = self.work.next_due()
        if due is None:
            self.end()
            return
        wait = due - time.perf_counter()
        self._due = due
        if wait > 0:
            self._loop.call_later(wait, self.send)
        else:
            self.send()

    def send(self) -> None:
        """Send one request."""
        raise AssertionError  # each protocol has its own

    def answered(self) -> None:
        """The request was taken."""
        self.work.done(self._due)
        self.next()

    def fail(self, what: str) -> None:
        """Give this connection up."""
        self.work.sent.failed(what)
        self.end()

    def end(self) -> None:
        """Close."""
        if not self.over.done():
            self.over.set_result(None)
        if self.transport is not None:
            self.transport.close()


class _Post(_Connection):
    """HTTP/1.1, one POST after another."""

    head = b""

    def send(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            body = self.work.make()
            self.transport.write(b"%s%d\r\n\r\n%s" % (self.head, len(body), body))

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer
        buffer += data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(buffer) < end + 4 + length:
            return
        body = bytes(buffer[end + 4 : end + 4 + length])
        buffer.clear()
        if head[9:10] != b"2":
            self.work.sent.failed(head[9:12].decode())
            self.next()
            return
        at = body.rfind(b'"id":')
        if at >= 0:
            self.work.sent.receipts.append((int(body[at + 5 :].rstrip(b"}")), self._due))
        self.answered()


class _Smtp(_Connection):
    """SMTP, one mail after another, every command answered before the next."""

    recipient = ""
    mails: Callable[[], tuple[str, bytes]]

    def begin(self) -> None:
        self._talk = self._conversation()
        self._wanted = next(self._talk)

    def send(self) -> None:
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n")) >= 0:
            line = bytes(self.buffer[:end])
            del self.buffer[: end + 2]
            if line[3:4] == b"-":
                continue
            if not line.startswith(self._wanted):
                self.fail(line[:3].decode("latin-1"))
                return
            self._go_on()

    def _go_on(self) -> None:
        if not self.over.done():
            self._wanted = next(self._talk)

    def _say(self, words: bytes) -> None:
        assert self.transport is not None
        self.transport.write(words)

    def _conversation(self) -> Iterator[bytes]:
        """Yields what the next reply must begin with."""
        yield b"220"
        self._say(b"EHLO client.example.org\r\n")
        yield b"250"
        self._loop.call_soon(self.next)
        yield b"-"  # woken by `send`
        while True:
            sender, message = type(self).mails()
            self._say(b"MAIL FROM:<%s>\r\n" % sender.encode())
            yield b"250"
            self._say(b"RCPT TO:<%s>\r\n" % self.recipient.encode())
            yield b"250"
            self._say(b"DATA\r\n")
            yield b"354"
            self._say(message)
            yield b"250"
            self.work.done(self._due)
            self._loop.call_soon(self.next)
            yield b"-"


@dataclass(frozen=True, slots=True)
class Posting:
    """Where to post: port, path, and more header lines (each ended by CRLF)."""

    port: int
    path: str
    headers: str = ""


def post(
    to: Posting, make: Make, *, connections: int, seconds: float, rate: float | None = None
) -> Sent:
    """Post what ``make`` gives, closed loop, or ``rate`` posts a second in open loop."""
    head = (
        f"POST {to.path} HTTP/1.1\r\nHost: {LOOPBACK}:{to.port}\r\n{to.headers}Content-Type: application/json\r\n"
        "Content-Length: "
    ).encode()
    kind = type("Post", (_Post,), {"head": head})
    return _run(kind, _Work(make, rate=rate, seconds=seconds), port=to.port, connections=connections)


def mail(
    port: int, make: Callable[[], tuple[str, bytes]], *, recipient: str, connections: int, seconds: float,
    rate: float | None = None,
) -> Sent:  # fmt: skip
    """Hand mails in, closed loop, or ``rate`` mails a second in open loop."""
    kind = type("Smtp", (_Smtp,), {"recipient": recipient, "mails": staticmethod(make)})
    return _run(kind, _Work(bytes, rate=rate, seconds=seconds), port=port, connections=connections)


def _run(kind: type[_Connection], work: _Work, *, port: int, connections: int) -> Sent:
    async def all_of_them() -> None:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: kind(work), LOOPBACK, port)
            for _ in range(min(connections, MOST_CONNECTIONS))
        ]
        async with asyncio.timeout(work.ends_at - time.perf_counter() + 2 * _STUCK_SECONDS):
            await asyncio.gather(*(protocol.over for _, protocol in made))

    begun = time.perf_counter()
    try:
        uvloop.run(all_of_them())
    except TimeoutError:
        work.sent.failed("stuck")
    work.sent.seconds = min(time.perf_counter() - begun, work.ends_at - work.began_at + _STUCK_SECONDS)
    return work.sent


class Numbers:
    """Numbers one after another, or the same few again and again."""

    def __init__(self, step: int, *, first: int = 0, again_after: int = 0) -> None:
        self._next, self._step, self._first, self._after = first, step, first, again_after

    def __call__(self) -> int:
        """The next number."""
        number = self._next
        self._next += self._step
        if self._after and self._next >= self._first + self._after:
            self._next = self._first
        return number


__all__ = ["Numbers", "Posting", "Sent", "deque", "mail", "percentile", "post"]
