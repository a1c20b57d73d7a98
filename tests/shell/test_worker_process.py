"""The daemon's worker processes: one that ends or hangs is followed by another."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from daemon.example import write_example
from daemon.processes import SILENCE, WorkerProcess
from store.engine import Store, open_store
from store.migrate import migrate


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A desk as `init` writes it, with its database."""
    write_example(tmp_path / "desk")
    (tmp_path / "desk" / "state").mkdir(exist_ok=True)
    migrate(f"sqlite:///{tmp_path}/desk/state/triaged.db", create=True)
    return tmp_path / "desk" / "triaged.yml"


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{config.parent}/state/triaged.db")) as opened:
        yield opened


def play(config: Path, store: Store, trouble: Callable[[int], object], *, silence: timedelta = SILENCE) -> int:
    """Start a worker, trouble it, and wait for the next; how often one ended."""
    ends: list[str] = []
    heard: list[dict[str, Any]] = []

    async def go() -> None:
        worker = WorkerProcess(
            1, config, store, on_report=heard.append, on_end=lambda: ends.append("ended"),
            on_damage=lambda: ends.append("damaged"), silence=silence,
        )  # fmt: skip
        worker.start("node")
        while not heard:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)
        first = worker.pid
        assert first is not None
        trouble(first)
        while worker.pid in (first, None):  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)
        heard.clear()
        while not heard:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)
        await worker.stop()
        assert not psutil.pid_exists(first)

    asyncio.run(asyncio.wait_for(go(), 60))
    assert set(ends) == {"ended"}
    return len(ends)


def test_a_worker_that_is_killed_is_followed_by_another(config: Path, store: Store) -> None:
    assert play(config, store, lambda pid: os.kill(pid, signal.SIGKILL)) == 1


def test_a_worker_that_hangs_is_ended_and_followed_by_another(config: Path, store: Store) -> None:
    """Fault 104: it lives and says nothing; one that idles says so every second."""
    silence = timedelta(seconds=10)  # on a busy machine one takes seconds to begin
    assert play(config, store, lambda pid: os.kill(pid, signal.SIGSTOP), silence=silence) >= 1
