"""The worker processes: started, woken, watched, and started again when they end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from daemon.clock import utc_now
from daemon.logs import get_log
from store.claims import release
from store.engine import Store
from store.errors import StoreError

#: A worker that lived shorter than this waits before it is started again, so that a broken one does not spin.
SHORT_LIFE = timedelta(seconds=5)
#: How long a worker may be silent: a round that takes longer has lost its leases anyway.
SILENCE = timedelta(seconds=120)
#: How long a worker may take to finish its round when the daemon stops.
FAREWELL = timedelta(seconds=20)

log = get_log("daemon")


@dataclass(slots=True)
class WorkerProcess:
    """One worker: its process, and what it tells.

    ``on_report`` gets each report; ``on_end`` is told that the process ended by itself, ``on_damage`` that it found the
    database damaged and is not started again.
    """

    number: int
    config: Path
    store: Store
    on_report: Callable[[dict[str, Any]], None]
    on_end: Callable[[], None]
    on_damage: Callable[[], None]
    silence: timedelta = SILENCE
    process: asyncio.subprocess.Process | None = None
    _lives: int = 0
    _stopping: bool = False
    _task: asyncio.Task[None] | None = field(default=None)

    def start(self, node: str) -> None:
        """Begin to keep a worker alive."""
        self._task = asyncio.create_task(self._keep(node), name=f"worker-{self.number}")

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        return None if self.process is None or self.process.returncode is not None else self.process.pid

    def wake(self) -> None:
        """There is something to do."""
        self._say(b"w")

    def reload(self) -> None:
        """The policy changed."""
        self._say(b"r")

    async def stop(self) -> None:
        """End the input; the worker finishes its round and goes."""
        self._stopping = True
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            try:
                await asyncio.wait_for(self.process.wait(), FAREWELL.total_seconds())
            except TimeoutError:
                self.process.kill()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def kill(self) -> None:
        """End it in the middle of whatever it does; it is not started again."""
        self._stopping = True
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    def _say(self, byte: bytes) -> None:
        process = self.process
        if process is None or process.stdin is None or process.returncode is not None:
            return
        if process.stdin.transport.get_write_buffer_size() < 1024:  # it has enough to wake up for  # noqa: PLR2004
            with suppress(ConnectionError, RuntimeError):
                process.stdin.write(byte)

    async def _keep(self, node: str) -> None:
        loop, short_lives = asyncio.get_running_loop(), 0
        while True:
            self._lives += 1
            owner, begun = f"{node}.{self.number}.{self._lives}", loop.time()
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "daemon.worker", str(self.config), owner,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1_048_576,
            )  # fmt: skip
            log.info("worker.started", worker=owner, pid=self.process.pid)
            await self._listen(self.process)
            code = await self.process.wait()
            if self._stopping:
                return
            log.error("worker.ended", worker=owner, code=code)
            if code == os.EX_IOERR:
                self.on_damage()
                return
            self.on_end()
            await asyncio.to_thread(self._release, owner)
            short_lives = short_lives + 1 if loop.time() - begun < SHORT_LIFE.total_seconds() else 0
            if short_lives:
                await asyncio.sleep(min(0.1 * 2 ** min(short_lives, 6), SHORT_LIFE.total_seconds()))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Hear its reports until it ends; one that is silent for too long hangs, and is ended (fault 104)."""
        assert process.stdout is not None
        while True:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), self.silence.total_seconds())
            except TimeoutError:
                log.error("worker.hangs", worker=self.number, seconds=self.silence.total_seconds())
                process.kill()
                return
            if not line:
                return
            try:
                self.on_report(msgspec.json.decode(line))
            except msgspec.DecodeError:
                log.error("worker.garbled", worker=self.number)

    def _release(self, owner: str) -> None:
        """Put back at once what a dead worker had; without a database its leases end by themselves."""
        try:
            with self.store.writing() as connection:
                release(connection, owner, utc_now())
        except StoreError as error:
            log.error("store.error", code=error.code)
