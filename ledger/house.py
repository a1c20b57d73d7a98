"""A desk of its own for one run: a folder, a policy in seconds, and the daemon's process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from daemon.example import write_example
from ledger.errors import LedgerError, OutOfTime

#: How long anything may take that has to happen, in seconds.
PATIENCE = 120.0
#: How long a daemon may take to stop when asked (fault 102), in seconds.
FAREWELL = 60.0
_ESCALATION = """\
paths:
  standard:
    steps:
      - {after: 0s, tell: on_call of team,      because: it is your turn}
      - {after: 2s, tell: team,                 because: nobody has taken it yet}
      - {after: 4s, tell: on_call of next tier, because: more expertise}
      - {after: 6s, tell: on_call of manager,   because: more authority}
    stops_when: acknowledged
use:
  - {priority: P1, path: standard}
  - {otherwise: true, path: none}
pages: {most_per_hour: 10000, notice_after: 30s}
"""
#: Steps of the path above.
STEPS = 4
_BUDGET = ("in_all_per_hour: 2000", "in_all_per_hour: 10000000")
_PROMISE = ("respond: 15m,", "respond: 5s, ")
_SOURCE = "  - {name: orders, format: json, token_file: secrets/orders.token}\n"
_TOKEN = "a-token-for-the-ledger-of-crashes"  # noqa: S105 - of a desk that lives for minutes


def free_port() -> int:
    """A port on loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until ``look`` gives something true. Raises `OutOfTime`."""
    until = time.monotonic() + patience
    while not look():
        if time.monotonic() > until:
            raise OutOfTime(f"{what}: not within {patience:.0f} seconds")
        time.sleep(0.05)


@dataclass
class House:
    """The folder of a desk, and the daemon that runs by it. ``relay`` is the sink's port."""

    folder: Path
    store_url: str
    relay: int
    web: int = field(default_factory=free_port)
    smtp: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        write_example(self.folder)
        _replace(
            self.config,
            ("127.0.0.1:8080", f"127.0.0.1:{self.web}"),
            ("127.0.0.1:8025", f"127.0.0.1:{self.smtp}"),
            ("sqlite:///state/triaged.db", self.store_url),
            ("maildir:outgoing", f"smtp://127.0.0.1:{self.relay}?tls=none"),
            ("\nrelay:", f"{_SOURCE}\nrelay:"),
        )
        (self.folder / "secrets" / "orders.token").write_text(_TOKEN)
        (self.folder / "secrets" / "orders.token").chmod(0o600)
        (self.folder / "policy" / "escalation.yml").write_text(_ESCALATION)
        _replace(self.folder / "policy" / "mailboxes.yml", _BUDGET)
        _replace(self.folder / "policy" / "sla.yml", _PROMISE)

    @property
    def config(self) -> Path:
        """Where its configuration is."""
        return self.folder / "triaged.yml"

    def token(self, source: str) -> str:
        """What a source shows."""
        return (self.folder / "secrets" / f"{source}.token").read_text().strip()

    # ------------------------------------------------------------------ the daemon

    def start(self) -> None:
        """Start the daemon, and wait until it takes work."""
        with (self.folder / "daemon.log").open("ab") as log:
            command = [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(self.config)]
            self.process = subprocess.Popen(command, stderr=log)
        wait_for(self.ready, "the daemon is ready")

    def ready(self) -> bool:
        """Whether it takes work now. Raises `LedgerError` when its process has ended."""
        if self._daemon().poll() is not None:
            raise LedgerError(f"the daemon ended with {self._daemon().returncode}:\n{self.log()[-3000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004 - the HTTP status
        except (urllib.error.URLError, OSError):
            return False

    def log(self) -> str:
        """All it has logged."""
        return (self.folder / "daemon.log").read_text()

    def processes(self) -> list[psutil.Process]:
        """The daemon's process and all below it, worker and parser."""
        with suppress(psutil.NoSuchProcess):
            daemon = psutil.Process(self._daemon().pid)
            return [daemon, *daemon.children(recursive=True)]
        return []

    def wait(self) -> int:
        """Wait until the daemon has ended; its exit status."""
        return self._daemon().wait(timeout=FAREWELL)

    def stop(self) -> int:
        """Ask the daemon to stop; its exit status. Raises `OutOfTime`."""
        daemon = self._daemon()
        daemon.send_signal(signal.SIGTERM)
        try:
            return daemon.wait(timeout=FAREWELL)
        except subprocess.TimeoutExpired:
            raise OutOfTime(f"the daemon stops: not within {FAREWELL:.0f} seconds") from None

    def close(self) -> None:
        """End what still runs."""
        if self.process is None or self.process.poll() is not None:
            return
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def _daemon(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise LedgerError("the daemon was never started")
        return self.process


def _replace(path: Path, *changes: tuple[str, str]) -> None:
    """Change a file; every text must be there, so that a run never goes by a policy that it did not mean."""
    text = path.read_text()
    for old, new in changes:
        if old not in text:
            raise LedgerError(f"{path.name} has no {old!r}")
        text = text.replace(old, new)
    path.write_text(text)
