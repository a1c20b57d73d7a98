"""The doors' one writer: it takes the lock, takes all that has arrived, commits once, and answers all of it.

The event loop hands receipts over and awaits; a thread of its own does the rest. Bodies are compressed before the
lock is taken, but for the few that arrive meanwhile; large ones are compressed beside, and those of several parts
kept in transactions of their own, so that no mail holds the lock for long.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from sqlalchemy import Connection

from desk.receive import Kept, NotKept, Receipt
from store.counters import reserve
from store.engine import Store
from store.errors import Collision, OutcomeUnknown, Rejected, StoreError
from store.receipts import Packed, find_receipt, keep_parts, keep_receipts, pack
from store.write import in_turns

#: What one commit takes at most: rows, and bytes of bodies.
MOST_ROWS = 500
MOST_BYTES = 4 * 1_048_576
#: What may be compressed while the lock is held: some milliseconds' worth.
LATE_BYTES = 262_144
#: From this size on a body is compressed beside the committer, by few threads, so that mails never take all.
LARGE_BYTES = 65_536
#: Up to this size one is compressed while a few others are waited for. Of a larger one the hash, too, is made with the
#: interpreter let go; to have that back from a loop that reads for many costs what the wait would have saved.
SMALL_BYTES, FEW = 2_047, 16
LARGE_THREADS = 2
#: What may wait: beyond it the sender is told to come back.
MOST_WAITING = 5_000
MOST_WAITING_BYTES = 256 * 1_048_576
#: How long the first of a batch waits for the others, when fewer have arrived than requests are open.
GATHER_SECONDS = 0.0005
GATHER_STEP_SECONDS = 0.0001
_FADING = 0.9
BEAT_SECONDS = 1.0
ATTEMPTS = 3


class Waiting(NamedTuple):
    """A receipt on its way, packed already where it is large, and who waits for the answer."""

    receipt: Receipt
    packed: Packed | None
    answer: asyncio.Future[Kept]


Answers = Sequence[Kept | NotKept]


class Committer:
    """Keeps what doors accept. `keep` and both callbacks run on the event loop, everything else in threads.

    ``on_commit`` hears how many receipts a commit kept and how many seconds it took, ``on_failure`` what went wrong.
    ``alive_at`` is the thread's heartbeat, ``down_since`` when the store first failed and has not worked since; both
    on the monotonic clock.
    """

    def __init__(
        self, store: Store, *, on_commit: Callable[[int, float], None] = lambda _rows, _seconds: None,
        on_failure: Callable[[Exception], None] = lambda _error: None,
    ) -> None:  # fmt: skip
        self._store, self._on_commit, self._on_failure = store, on_commit, on_failure
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._open = self._bytes = 0
        self._together = 0.0  # about how many receipts the latest commits kept
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._beside = ThreadPoolExecutor(LARGE_THREADS, "packing")
        self.alive_at = time.monotonic()
        self.down_since: float | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to keep; answers are given on ``loop``."""
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """Keep what has arrived, then end. Blocks, so never on the loop, which has to run meanwhile."""
        self._call(self._let_nobody_in)
        self._thread.join()
        self._beside.shutdown()

    def probe(self) -> None:
        """Try whether the store takes writes again, when it did not. Blocks."""
        try:
            with self._store.writing() as connection:
                reserve(connection, "receipt", 1)
        except StoreError as error:
            self._failed(error)
        else:
            self.down_since = None

    async def keep(self, receipt: Receipt) -> Kept:
        """Have a receipt kept; gives the answer after the commit. Raises `NotKept`.

        A caller that is cancelled meanwhile does not tear the commit.
        """
        size = len(receipt.body)
        if self._open >= MOST_WAITING or self._bytes + size > MOST_WAITING_BYTES:
            raise NotKept
        self._open += 1
        self._bytes += size
        try:
            return await self._answer_to(receipt)
        finally:
            self._open -= 1
            self._bytes -= size

    async def _answer_to(self, receipt: Receipt) -> Kept:
        assert self._loop is not None
        packed = None
        if len(receipt.body) > LARGE_BYTES and not self._stopping:
            packed = await self._loop.run_in_executor(self._beside, self._pack_large, receipt)
        if self._stopping:
            raise NotKept
        answer: asyncio.Future[Kept] = self._loop.create_future()
        self._queue.put(Waiting(receipt, packed, answer))
        return await answer

    def _let_nobody_in(self) -> None:
        """Whatever was handed over before this stands in the queue before its end, and is kept."""
        self._stopping = True
        self._queue.put(None)

    def _answer(self, batch: Sequence[Waiting], answers: Answers, seconds: float) -> None:
        """Give everybody their answer; who is gone is passed over. Then tell of the commit."""
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, NotKept):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        kept = sum(isinstance(answer, Kept) for answer in answers)
        if kept:
            self._on_commit(kept, seconds)

    # ------------------------------------------------------------------ in threads

    def _run(self) -> None:
        while True:
            self.alive_at = time.monotonic()
            try:
                first = self._queue.get(timeout=BEAT_SECONDS)
            except Empty:
                continue
            if first is None:
                return
            batch = self._gather(first)
            begun = time.monotonic()
            answers = self._keep(batch, late=True)
            self._together = max(len(batch), self._together * _FADING)
            self._call(self._answer, batch, answers, time.monotonic() - begun)

    def _gather(self, first: Waiting) -> list[Waiting]:
        """Wait a little for those whose requests are open, and for as many as came together lately; pack meanwhile.

        Senders that were answered together send again together, but one after another: without this wait every
        other commit would keep the first of them alone.
        """
        batch, give_up_at = [first], time.monotonic() + GATHER_SECONDS
        room = MOST_BYTES - len(first.receipt.body)
        while room > 0 and len(batch) < MOST_ROWS:
            expected = max(self._open, int(self._together))
            more = self._take(MOST_ROWS - len(batch), room)
            batch.extend(more)
            room -= sum(len(one.receipt.body) for one in more)
            if expected <= FEW:
                batch = [_packed(one) for one in batch]
            if len(batch) >= expected or time.monotonic() >= give_up_at:
                break
            if not more:
                time.sleep(GATHER_STEP_SECONDS)
        return batch

    def _take(self, rows: int, size: int) -> list[Waiting]:
        """What has arrived, up to so many rows, and the one with which its bodies reach ``size`` bytes."""
        taken: list[Waiting] = []
        for _ in range(min(rows, self._queue.qsize())):
            one = self._queue.get()
            if one is None:
                self._queue.put(None)  # the end, to be seen when all before it is kept
                break
            taken.append(one)
            size -= len(one.receipt.body)
            if size <= 0:
                break
        return taken

    def _keep(self, batch: list[Waiting], *, late: bool) -> Answers:
        """An answer for each of a batch, which grows by what arrives ``late``; this thread never ends by an error."""
        try:
            kept = self._commit(batch, late=late)
        except OutcomeUnknown as error:
            return self._looked_up(batch, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours is no reason to leave all senders waiting
            common = isinstance(error, StoreError) and not isinstance(error, Rejected)
            if len(batch) > 1 and not common:  # one of them is at fault, and the others shall not suffer for it
                return [answer for one in batch for answer in self._keep([one], late=False)]
            return [self._failed(error)] * len(batch)
        self.down_since = None
        return kept

    def _commit(self, batch: list[Waiting], *, late: bool) -> list[Kept]:
        packed = [one.packed or pack(one.receipt) for one in batch]

        def save(connection: Connection) -> list[Kept]:
            if late:
                more = self._take(MOST_ROWS - len(batch), LATE_BYTES)
                batch.extend(more)
                packed.extend(one.packed or pack(one.receipt) for one in more)
            return keep_receipts(connection, packed)

        return in_turns(self._store, attempts=ATTEMPTS, take=lambda: save).value

    def _looked_up(self, batch: Sequence[Waiting], error: OutcomeUnknown) -> Answers:
        """The connection was lost while committing: see what is there before anybody is told no."""
        failure = self._failed(error)
        try:
            with self._store.reading() as connection:
                found = [find_receipt(connection, one.receipt) for one in batch]
        except StoreError:
            return [failure] * len(batch)
        return [failure if number is None else Kept(number, repeated=False) for number in found]

    def _pack_large(self, receipt: Receipt) -> Packed:
        """Compress a large body and keep its parts, if several, beside the others' commits. Raises `NotKept`."""
        try:
            return keep_parts(self._store, pack(receipt))
        except StoreError as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> NotKept:
        """Remember that the store did not do its work, unless the fault lies with what it was given."""
        down = isinstance(error, StoreError) and not isinstance(error, Rejected | Collision)
        if down and self.down_since is None:
            self.down_since = time.monotonic()
        self._call(self._on_failure, error)
        return NotKept(str(error))

    def _call(self, do: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(do, *arguments)


def _packed(one: Waiting) -> Waiting:
    """The same with a small receipt packed; one that can't be is left to fail alone."""
    if one.packed is None and len(one.receipt.body) <= SMALL_BYTES:
        with suppress(Exception):
            return one._replace(packed=pack(one.receipt))
    return one
