"""A real desk to measure: the daemon in processes of its own, in a temporary folder, on loopback."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from sqlalchemy import text

from benchmarks.clients import LOOPBACK, Posting
from daemon.clock import utc_now
from daemon.example import write_example
from store.engine import Store, open_store
from store.holding import HoldReason, hold_deliveries

RECIPIENT = "support@example.com"
#: Raised, for these benchmarks count acknowledgements in the outbox: what is counted must not be suppressed.
_LIMITS = "automatic_mail: {per_hour: 1000000, per_day: 1000000, in_all_per_hour: 1000000}"
_READY_SECONDS = 20.0
_STAGE = re.compile(r'^triaged_stage_seconds_total\{stage="(\w+)"\} ([0-9.e+-]+)$', re.MULTILINE)


class NotMeasured(Exception):
    """Something that a goal needs is not there, or did not work; the sentence says what."""


class Backlog(NamedTuple):
    """What waits: receipts, the lowest id among them (None where nothing waits), and the age of the oldest."""

    waiting: int
    lowest: int | None
    oldest_seconds: float


_BACKLOG = text(
    "SELECT count(*), min(id), min(received_at) FROM ("
    "SELECT id, received_at FROM receipts WHERE state = 'waiting' AND lease_owner IS NULL"
    " UNION ALL SELECT id, received_at FROM receipts WHERE lease_owner IS NOT NULL) AS unworked"
)
#: The same as a yes or no, which costs the database next to nothing while a run is measured.
_UNWORKED = text(
    "SELECT EXISTS (SELECT 1 FROM receipts WHERE state = 'waiting' AND lease_owner IS NULL)"
    " OR EXISTS (SELECT 1 FROM receipts WHERE lease_owner IS NOT NULL)"
)


class RunningDesk:
    """The daemon, its store to look at, and what it costs."""

    def __init__(self, folder: Path, *, store_url: str | None = None, workers: int = 1) -> None:
        write_example(folder)
        self.folder, self.web, self.smtp = folder, free_port(), free_port()
        self.config = folder / "triaged.yml"
        written = self.config.read_text()
        written = written.replace("127.0.0.1:8080", f"127.0.0.1:{self.web}")
        written = written.replace("127.0.0.1:8025", f"127.0.0.1:{self.smtp}")
        if store_url is not None:
            written = written.replace("sqlite:///state/triaged.db", store_url)
        self.config.write_text(f"{written}\nworkers: {workers}\n")
        mailboxes = folder / "policy" / "mailboxes.yml"
        mailboxes.write_text(re.sub(r"^automatic_mail:.*$", _LIMITS, mailboxes.read_text(), flags=re.MULTILINE))
        self.url = store_url or f"sqlite:///{folder}/state/triaged.db"
        self._process: subprocess.Popen[bytes] | None = None
        self._store: Store | None = None
        self._paused: list[psutil.Process] = []

    # ------------------------------------------------------------------ running

    def start(self) -> float:
        """Start the daemon; how long it took to be ready, in seconds."""
        begun = time.monotonic()
        with (self.folder / "daemon.log").open("ab") as log:
            command = [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(self.config)]
            self._process = subprocess.Popen(command, stderr=log, stdout=log)
        while time.monotonic() - begun < _READY_SECONDS:
            if self._process.poll() is not None:
                break
            with suppress(OSError, urllib.error.URLError):
                if self._get("/readyz"):
                    return time.monotonic() - begun
            time.sleep(0.01)
        self.stop()
        raise NotMeasured(f"the desk did not become ready: {(self.folder / 'daemon.log').read_text()[-500:]}")

    def stop(self) -> None:
        """Stop it, politely first."""
        self.go_on()
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                for process in self.processes():
                    process.kill()
                self._process.wait()

    def processes(self) -> list[psutil.Process]:
        """The daemon and all below it."""
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            daemon = psutil.Process(self._process.pid)
            return [daemon, *daemon.children(recursive=True)]
        return []

    @property
    def daemon(self) -> list[psutil.Process]:
        """The daemon's own process: doors, committer, hand-over."""
        return self.processes()[:1]

    def pause(self) -> None:
        """Stop the workers between two writes, so that the doors stand alone."""
        for _ in range(200):
            self._paused = self.processes()[1:]
            for process in self._paused:
                process.send_signal(signal.SIGSTOP)
            if self._nobody_writes():
                return
            self.go_on()
            time.sleep(0.003)
        raise NotMeasured("the workers never let go of the lock")

    def go_on(self) -> None:
        """Let the workers work again."""
        for process in self._paused:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        self._paused = []

    def _nobody_writes(self) -> bool:
        if not self.url.startswith("sqlite"):
            return True
        with (self.folder / "state" / "triaged.db.lock").open("rb") as lock:
            for _ in range(20):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(0.002)
                else:
                    return True
        return False

    def hold_deliveries(self) -> None:
        """Have it leave composed mail in the outbox, so that working is measured and nothing else."""
        with self.store.writing() as connection:
            hold_deliveries(connection, HoldReason.BY_HAND, utc_now())

    # ------------------------------------------------------------------ its doors

    @property
    def webhook(self) -> Posting:
        """Where monitors post."""
        token = (self.folder / "secrets" / "prometheus.token").read_text().strip()
        return Posting(self.web, "/ingest/prometheus", f"Authorization: Bearer {token}\r\n")

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.web}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def timed_get(self, path: str) -> float:
        """How long a page takes, in seconds."""
        begun = time.perf_counter()
        self._get(path)
        return time.perf_counter() - begun

    # ------------------------------------------------------------------ looking at it

    @property
    def store(self) -> Store:
        """Its store, beside the daemon."""
        if self._store is None:
            self._store = open_store(self.url)
        return self._store

    def backlog(self) -> Backlog:
        """What waits to be worked."""
        with self.store.reading() as connection:
            waiting, lowest, oldest = connection.execute(_BACKLOG).one()
        return Backlog(waiting, lowest, max(time.time() - oldest / 1e6, 0) if oldest else 0.0)

    def _has_unworked(self) -> bool:
        with self.store.reading() as connection:
            return bool(connection.execute(_UNWORKED).scalar())

    def count(self, table: str, where: str = "1 = 1") -> int:
        """How many rows a table has."""
        with self.store.reading() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar() or 0)

    def wait_worked(self, patience: float = 120.0) -> float:
        """Until nothing waits; how long it took, in seconds."""
        begun = time.monotonic()
        while self._has_unworked():
            if time.monotonic() - begun > patience:
                raise NotMeasured(f"{self.backlog().waiting} receipts still wait after {patience:.0f} seconds")
            time.sleep(0.02)
        return time.monotonic() - begun

    def stages(self) -> Mapping[str, float]:
        """Seconds of processor time by stage, since the start; ``daemon`` is all of the daemon's own process."""
        stages = {name: float(seconds) for name, seconds in _STAGE.findall(self._get("/metrics"))}
        return {**stages, "daemon": cpu_seconds(self.daemon)}

    def pss_mb(self) -> float:
        """Memory of all its processes, what they share counted once, in MB."""
        return sum(pss_mb(process.pid) for process in self.processes())


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Processor time of some processes."""
    spent = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def pss_mb(pid: int) -> float:
    """The proportional set size of a process in MB."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def free_port() -> int:
    """A port on loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A folder that is gone afterwards, on the disk that TMPDIR names."""
    folder = Path(tempfile.mkdtemp(prefix=f"triaged-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_desk(*, store_url: str | None = None, workers: int = 1) -> Iterator[RunningDesk]:
    """A desk that runs, and is gone afterwards."""
    with temporary_folder("bench") as folder:
        desk = RunningDesk(folder / "desk", store_url=store_url, workers=workers)
        try:
            desk.start()
            yield desk
        finally:
            desk.stop()


def running_as_root() -> bool:
    """Whether this is root, whom some peers insist on and others refuse."""
    return os.geteuid() == 0
