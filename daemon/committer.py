"""The doors' one writer: it takes the lock, takes all that has arrived, commits once, and answers all of it.

The event loop hands receipts over and awaits; a thread of its own does the rest. Bodies are compressed before the
lock is taken, but for the few that arrive meanwhile; parts of large ones are kept in transactions of their own, so
that no mail holds the lock for long.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from desk.receive import Kept, NotKept, Receipt
from store.engine import Store
from store.errors import OutcomeUnknown, StoreError
from store.receipts import PART_BYTES, Packed, find_receipt, keep_parts, keep_receipts, pack

#: What one commit takes at most.
MOST_ROWS = 500
#: What may wait: beyond it the sender is told to come back.
MOST_WAITING = 5_000
MOST_WAITING_BYTES = 256 * 1_048_576
#: How long the first of a batch waits for the others, when fewer have arrived than requests are open.
GATHER_SECONDS = 0.0005


class Waiting(NamedTuple):
    """A receipt on its way, packed already where it is large, and who waits for the answer."""

    receipt: Receipt
    packed: Packed | None
    answer: asyncio.Future[Kept]


@dataclass(slots=True)
class Totals:
    """What the committer did since it began: for the metrics, read by other threads."""

    commits: int = 0
    rows: int = 0
    failures: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Committer:
    """Keeps what doors accept. `keep` is called on the event loop; everything else happens in the thread."""

    def __init__(self, store: Store, *, on_commit: Callable[[int, float], None] = lambda _rows, _seconds: None) -> None:
        self._store, self._on_commit = store, on_commit
        self._queue: deque[Waiting] = deque()
        self._open = self._bytes = 0
        self._arrived = threading.Event()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self.totals = Totals()
        self.alive_at = time.monotonic()
        self.down_since: float | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to keep; answers are given on ``loop``."""
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """Keep what has arrived, then end. Blocks."""
        self._stopping = True
        self._arrived.set()
        self._thread.join()

    async def keep(self, receipt: Receipt) -> Kept:
        """Have a receipt kept; gives the answer after the commit. Raises `NotKept`.

        A caller that is cancelled meanwhile does not tear the commit.
        """
        size = len(receipt.body)
        if self._stopping or self._open >= MOST_WAITING or self._bytes + size > MOST_WAITING_BYTES:
            raise NotKept
        self._bytes += size
        try:
            packed = await asyncio.to_thread(self._keep_large, receipt) if size > PART_BYTES else None
            return await self._answered(receipt, packed)
        finally:
            self._bytes -= size

    async def _answered(self, receipt: Receipt, packed: Packed | None) -> Kept:
        assert self._loop is not None
        answer: asyncio.Future[Kept] = self._loop.create_future()
        self._open += 1
        self._queue.append(Waiting(receipt, packed, answer))
        if not self._arrived.is_set():
            self._arrived.set()
        try:
            return await asyncio.shield(answer)
        finally:
            self._open -= 1

    def _keep_large(self, receipt: Receipt) -> Packed:
        """Compress a large body and keep its parts, each in a short transaction, beside the others' commits."""
        try:
            return keep_parts(self._store, pack(receipt))
        except StoreError as error:
            raise self._failed(error) from error

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            self._arrived.wait(1.0)
            self._arrived.clear()
            self.alive_at = time.monotonic()
            while self._queue:
                self._commit_all()
            if self._stopping and not self._queue:
                return

    def _commit_all(self) -> None:
        begun, cpu = time.monotonic(), time.thread_time()
        if len(self._queue) < self._open:
            time.sleep(GATHER_SECONDS)
        batch = self._take(MOST_ROWS)
        answers = self._kept(batch)
        self.alive_at = now = time.monotonic()
        self.totals.seconds += now - begun
        self.totals.cpu_seconds += time.thread_time() - cpu
        assert self._loop is not None
        self._loop.call_soon_threadsafe(_answer, batch, answers)

    def _take(self, most: int) -> list[Waiting]:
        queue = self._queue
        return [queue.popleft() for _ in range(min(most, len(queue)))]

    def _kept(self, batch: list[Waiting]) -> Sequence[Kept] | NotKept:
        begun = time.monotonic()
        try:
            packed = [one.packed or pack(one.receipt) for one in batch]
            with self._store.writing() as connection:
                late = self._take(MOST_ROWS - len(batch))
                batch += late
                packed += [one.packed or pack(one.receipt) for one in late]
                kept = keep_receipts(connection, packed)
        except OutcomeUnknown as error:
            return self._looked_up(batch, error)
        except StoreError as error:
            return self._failed(error)
        self.down_since = None
        self.totals.commits += 1
        self.totals.rows += len(batch)
        self._on_commit(len(batch), time.monotonic() - begun)
        return kept

    def _failed(self, error: StoreError) -> NotKept:
        self.totals.failures += 1
        if self.down_since is None:
            self.down_since = time.monotonic()
        failure = NotKept(str(error))
        failure.__cause__ = error
        return failure

    def _looked_up(self, batch: Sequence[Waiting], error: StoreError) -> Sequence[Kept] | NotKept:
        """The connection was lost while committing: see what is there before anybody is told no."""
        try:
            with self._store.reading() as connection:
                found = [find_receipt(connection, one.receipt) for one in batch]
        except StoreError:
            return self._failed(error)
        kept = [Kept(number, repeated=False) for number in found if number is not None]
        return kept if len(kept) == len(batch) else self._failed(error)


def _answer(batch: Sequence[Waiting], answers: Sequence[Kept] | NotKept) -> None:
    """Give everybody their answer, on the loop; who is gone is passed over."""
    if isinstance(answers, NotKept):
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(answers)
        return
    for waiting, kept in zip(batch, answers, strict=True):
        if not waiting.answer.done():
            waiting.answer.set_result(kept)
