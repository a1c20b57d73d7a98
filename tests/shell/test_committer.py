"""The doors' one writer: one commit for all that waits, an answer for everybody, and no end by anybody's fault."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, event, func, select

from daemon import committer as module
from daemon.committer import Committer
from desk.receive import Kept, NotKept, Receipt
from store.engine import Store, open_store
from store.errors import OutcomeUnknown, StoreBusy, StoreUnavailable
from store.receipts import PART_BYTES, load_bodies
from store.tables.receipts import receipts

T = TypeVar("T")
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
ONE = Receipt("monitor", "json", NOW, {"type": "application/json", "peer": "127.0.0.1"}, b"{}", None)


@dataclass
class Driven:
    """A committer at work, and what it told."""

    committer: Committer
    commits: list[int]
    failures: list[Exception]

    async def answers(self, *given: Receipt) -> list[Kept | BaseException]:
        return await asyncio.gather(*map(self.committer.keep, given), return_exceptions=True)


def driven(store: Any, work: Callable[[Driven], Awaitable[T]]) -> T:
    """What ``work`` gives, done while a committer runs on ``store``."""

    async def run() -> T:
        commits: list[int] = []
        failures: list[Exception] = []
        made = Committer(store, on_commit=lambda rows, _seconds: commits.append(rows), on_failure=failures.append)
        made.start(asyncio.get_running_loop())
        try:
            return await work(Driven(made, commits, failures))
        finally:
            await asyncio.to_thread(made.stop)

    return asyncio.run(run())


def numbered(count: int) -> list[Receipt]:
    return [ONE._replace(body=b'{"n": %d}' % number) for number in range(count)]


def stored(store: Store) -> list[bytes]:
    with store.reading() as connection:
        rows = connection.execute(select(receipts.c.id, receipts.c.content).order_by(receipts.c.id)).all()
        bodies = load_bodies(connection, rows)
    return [bodies[row.id] for row in rows]


@dataclass
class Failing:
    """A store that fails as it is told: before a write, or ``after`` it was committed."""

    store: Store
    before: Exception | None = None
    after: Exception | None = None
    held_seconds: float = 0.0

    def writing(self) -> Failing:
        return self

    def __enter__(self) -> Connection:
        if self.before is not None:
            raise self.before
        self._writing = self.store.writing()
        return self._writing.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writing.__exit__(kind, error, traceback)
        if self.after is not None:
            raise self.after

    def reading(self) -> Any:
        return self.store.reading()


# ---------------------------------------------------------------------- keeping


def test_all_that_arrived_while_the_lock_was_held_is_one_commit(sqlite_url: str) -> None:
    """Finding 9: the lock first, then whatever is there."""
    with closing(open_store(sqlite_url)) as store:

        async def work(driven: Driven) -> list[Kept | BaseException]:
            held, go = threading.Event(), threading.Event()

            def hold() -> None:
                with store.writing():
                    held.set()
                    go.wait(10)

            holder = asyncio.create_task(asyncio.to_thread(hold))
            await asyncio.to_thread(held.wait, 10)
            waiting = asyncio.create_task(driven.answers(*numbered(100)))
            await asyncio.sleep(0)  # all of them are handed over
            go.set()
            await holder
            answers = await waiting
            assert driven.commits == [100]
            return answers

        answers = driven(store, work)
        assert [one.id for one in answers if isinstance(one, Kept)] == list(range(1, 101))
        assert stored(store) == [one.body for one in numbered(100)]


def test_more_than_one_commit_takes_is_kept_all_the_same(store: Store) -> None:
    async def work(driven: Driven) -> None:
        answers = await driven.answers(*numbered(1_200))
        assert all(isinstance(one, Kept) for one in answers)
        assert sum(driven.commits) == 1_200
        assert max(driven.commits) <= module.MOST_ROWS

    driven(store, work)
    assert len(stored(store)) == 1_200


def test_a_repeat_by_key_is_told_the_first_ones_number(store: Store) -> None:
    """G3, also within one batch."""
    same = ONE._replace(key=b"k" * 32)

    async def work(driven: Driven) -> None:
        first, second = await driven.answers(same, same)
        (third,) = await driven.answers(same)
        assert first == Kept(1, repeated=False)
        assert second == third == Kept(1, repeated=True)

    driven(store, work)
    assert len(stored(store)) == 1


def test_a_mail_of_many_parts_is_kept_whole_beside_the_small_ones(store: Store) -> None:
    """No commit holds more than a part of it."""
    large = ONE._replace(body=bytes(range(256)) * (3 * PART_BYTES // 256) + b"end")

    async def work(driven: Driven) -> None:
        answers = await driven.answers(large, *numbered(20))
        assert all(isinstance(one, Kept) for one in answers)

    driven(store, work)
    assert max(stored(store), key=len) == large.body


def test_a_caller_that_leaves_does_not_tear_the_commit(store: Store) -> None:
    """Finding 4, fault 11: what was handed over is kept, and the others are answered."""

    async def work(driven: Driven) -> None:
        leaver = asyncio.create_task(driven.committer.keep(ONE))
        await asyncio.sleep(0)
        leaver.cancel()
        assert [type(one) for one in await driven.answers(*numbered(3))] == [Kept, Kept, Kept]

    driven(store, work)
    assert len(stored(store)) == 4


def test_what_arrived_before_the_stop_is_kept_and_what_comes_after_is_refused(store: Store) -> None:
    """Fault 102."""

    async def work(driven: Driven) -> None:
        waiting = asyncio.create_task(driven.answers(*numbered(700)))
        await asyncio.sleep(0)
        await asyncio.to_thread(driven.committer.stop)
        assert all(isinstance(one, Kept) for one in await waiting)
        with pytest.raises(NotKept):
            await driven.committer.keep(ONE)
        with pytest.raises(NotKept):
            await driven.committer.keep(ONE._replace(body=bytes(2 * PART_BYTES)))

    async def run() -> None:
        made = Committer(store)
        made.start(asyncio.get_running_loop())
        await work(Driven(made, [], []))

    asyncio.run(run())
    assert len(stored(store)) == 700


def test_what_waits_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """G9: beyond it the sender is told to come back, by number as by bytes."""

    async def work(driven: Driven) -> None:
        monkeypatch.setattr(module, "MOST_WAITING", 3)
        answers = await driven.answers(*numbered(5))
        assert [type(one) for one in answers] == [Kept, Kept, Kept, NotKept, NotKept]
        monkeypatch.setattr(module, "MOST_WAITING_BYTES", 1_000)
        halves = [ONE._replace(body=bytes(600)), ONE._replace(body=bytes(600))]
        assert [type(one) for one in await driven.answers(*halves)] == [Kept, NotKept]
        assert [type(one) for one in await driven.answers(*numbered(3))] == [Kept, Kept, Kept]

    driven(store, work)


# ---------------------------------------------------------------------- failing


def test_trouble_with_the_store_is_told_to_all_who_wait_and_passes(store: Store) -> None:
    """Fault 20: nothing is half kept, and as soon as the store works again so does the committer."""
    broken = Failing(store, before=StoreUnavailable())

    async def work(driven: Driven) -> None:
        assert {type(one) for one in await driven.answers(*numbered(10))} == {NotKept}
        assert driven.committer.down_since is not None
        assert {type(one) for one in driven.failures} == {StoreUnavailable}
        broken.before = None
        assert {type(one) for one in await driven.answers(*numbered(10))} == {Kept}
        assert driven.committer.down_since is None

    driven(broken, work)
    assert len(stored(store)) == 10


def test_a_large_mail_that_can_not_be_kept_is_told_so(store: Store) -> None:
    """Fault 20, for a mail whose parts go first."""
    broken = Failing(store, before=StoreUnavailable())
    large = ONE._replace(body=bytes(2 * PART_BYTES))

    async def work(driven: Driven) -> None:
        assert [type(one) for one in await driven.answers(large)] == [NotKept]
        broken.before = None
        assert [type(one) for one in await driven.answers(large)] == [Kept]

    driven(broken, work)


def test_a_probe_finds_that_the_store_works_again(store: Store) -> None:
    """Nobody is let in while the store is down, so nobody else would find out."""
    broken = Failing(store, before=StoreUnavailable())

    async def work(driven: Driven) -> None:
        await driven.answers(ONE)
        down = driven.committer.down_since
        await asyncio.to_thread(driven.committer.probe)
        assert driven.committer.down_since == down
        broken.before = None
        await asyncio.to_thread(driven.committer.probe)
        assert driven.committer.down_since is None

    driven(broken, work)
    assert stored(store) == []


def test_a_stranger_who_holds_the_database_too_long_costs_a_retry(sqlite_url: str) -> None:
    """Fault 91: another program holds BEGIN IMMEDIATE beyond the time that we wait."""
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(open_store(sqlite_url)) as store, closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        event.listen(store.engine, "checkout", lambda driver, *_: driver.execute("PRAGMA busy_timeout=50"))

        async def work(driven: Driven) -> None:
            stranger.execute("BEGIN IMMEDIATE")
            assert {type(one) for one in await driven.answers(*numbered(3))} == {NotKept}
            assert {type(one) for one in driven.failures} == {StoreBusy}
            stranger.execute("ROLLBACK")
            assert {type(one) for one in await driven.answers(*numbered(3))} == {Kept}

        driven(store, work)
        assert len(stored(store)) == 3


def test_a_commit_whose_answer_was_lost_is_looked_up(store: Store) -> None:
    """Fault 98: committed, then the connection was cut; the senders hear yes, with the right numbers."""
    cut = Failing(store, after=OutcomeUnknown())

    async def work(driven: Driven) -> list[Kept | BaseException]:
        return await driven.answers(ONE._replace(key=b"k" * 32), *numbered(3))

    answers = driven(cut, work)
    assert answers == [Kept(number, repeated=False) for number in range(1, 5)]
    assert len(stored(store)) == 4


def test_a_commit_that_was_lost_with_its_answer_is_told_so(store: Store) -> None:
    """Fault 98, the other way: what is not there was not kept."""
    cut = Failing(store, before=OutcomeUnknown())

    async def work(driven: Driven) -> None:
        assert {type(one) for one in await driven.answers(*numbered(3))} == {NotKept}

    driven(cut, work)
    assert stored(store) == []


def test_one_that_can_not_be_kept_does_not_take_the_others_down(store: Store) -> None:
    """A fault of ours in one receipt fails that one alone, and does not mean that the store is down."""
    poison = ONE._replace(envelope={"type": object()})

    async def work(driven: Driven) -> None:
        good = numbered(5)
        answers = await driven.answers(*good[:2], poison, *good[2:])
        assert [type(one) for one in answers] == [Kept, Kept, NotKept, Kept, Kept, Kept]
        assert driven.committer.down_since is None
        assert [type(one) for one in await driven.answers(ONE)] == [Kept]

    driven(store, work)
    assert len(stored(store)) == 6


def test_the_heart_beats_without_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 104: a watchdog reads it."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)

    async def work(driven: Driven) -> None:
        before, give_up_at = driven.committer.alive_at, time.monotonic() + 5
        while driven.committer.alive_at == before:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.005)

    driven(store, work)


def test_rows_are_in_the_order_of_their_arrival(store: Store) -> None:
    """G7: numbers rise as receipts came, whatever commit they fell into."""

    async def work(driven: Driven) -> None:
        for start in range(0, 300, 50):
            await driven.answers(*numbered(300)[start : start + 50])

    driven(store, work)
    assert stored(store) == [one.body for one in numbered(300)]
    with store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(receipts)).scalar() == 300
