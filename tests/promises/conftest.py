"""A whole desk: the real daemon in processes of its own, with real doors on loopback."""

from __future__ import annotations

import json
import mailbox
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from daemon.example import write_example
from store.engine import open_store

PATIENCE = 30.0
T = TypeVar("T")


def free_port() -> int:
    """A port on loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """What ``look`` gives once it gives something."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {patience:.0f} seconds")


@dataclass
class RunningDesk:
    """A folder with a configuration, and the daemon that runs by it."""

    folder: Path
    store_url: str
    relay: str
    domain: str = "example.com"
    web: int = field(default_factory=free_port)
    smtp: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        write_example(self.folder)
        path = self.config
        text = path.read_text()
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.web}")
        text = text.replace("127.0.0.1:8025", f"127.0.0.1:{self.smtp}")
        text = text.replace("sqlite:///state/triaged.db", self.store_url).replace("maildir:outgoing", self.relay)
        text = text.replace("example.com", self.domain)
        path.write_text(text)

    @property
    def config(self) -> Path:
        return self.folder / "triaged.yml"

    # the daemon

    def start(self) -> None:
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(self.config)], stderr=log
            )
        wait_for(self.ready, "the daemon is ready")

    def ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the daemon ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()

    def processes(self) -> list[psutil.Process]:
        """The daemon's process and all below it: worker and parser."""
        assert self.process is not None
        with suppress(psutil.NoSuchProcess):
            daemon = psutil.Process(self.process.pid)
            return [daemon, *daemon.children(recursive=True)]
        return []

    def kill(self) -> None:
        """Kill the daemon as the kernel would, and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask the daemon to stop, and give its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)

    # its doors

    def token(self, source: str) -> str:
        return (self.folder / "secrets" / f"{source}.token").read_text().strip()

    def post(self, source: str, payload: Any) -> tuple[int, Any]:
        """Post to a source's webhook; status and answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web}/ingest/{source}", json.dumps(payload).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.token(source)}"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def mail(self, message: EmailMessage) -> None:
        """Hand a mail in at the SMTP door, as a mail client does."""
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=10) as client:
            client.send_message(message)

    # looking at it

    def ctl(self, *words: str, ok: bool = True) -> Any:
        """What `triagectl … --json` prints."""
        said = subprocess.run(
            [sys.executable, "-m", "daemon.commands.triagectl", "-c", str(self.config), *words, "--json"],
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        if ok and said.returncode:
            pytest.fail(f"triagectl {' '.join(words)} ended with {said.returncode}: {said.stderr.decode()}")
        return json.loads(said.stdout) if said.stdout.strip() else None

    def rows(self, query: str) -> list[Any]:
        """The first column of what ``query`` finds in its database."""
        with closing(open_store(self.store_url)) as store, store.reading() as connection:
            return list(connection.exec_driver_sql(query).scalars())

    def incidents(self) -> list[dict[str, Any]]:
        return list(self.ctl("incident", "list", "--all")["items"])

    def sent(self, to: str) -> list[Message]:
        """Mails in the relay's Maildir to an address."""
        folder = self.folder / "outgoing"
        if not all((folder / part).is_dir() for part in ("cur", "new", "tmp")):
            return []  # the relay makes them one by one
        return [message for message in mailbox.Maildir(folder, create=False) if to in str(message["To"])]


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[Callable[..., RunningDesk]]:
    """Desks that are stopped when the test ends."""
    desks: list[RunningDesk] = []

    def make(store_url: str | None = None, relay: str = "maildir:outgoing", **more: Any) -> RunningDesk:
        folder = tmp_path / f"desk{len(desks)}"
        desk = RunningDesk(folder, store_url or f"sqlite:///{folder / 'state' / 'triaged.db'}", relay, **more)
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        if desk.process is not None and desk.process.poll() is None:
            for process in desk.processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            desk.process.wait()


@pytest.fixture
def desk(new_desk: Callable[..., RunningDesk]) -> RunningDesk:
    """A desk that runs, on SQLite, with a Maildir for a relay."""
    made = new_desk()
    made.start()
    return made


def person_mail(sender: str = "ann@example.com", subject: str = "My screen is dark", **headers: str) -> EmailMessage:
    """A mail as an ordinary client writes it."""
    message = EmailMessage()
    message["From"] = f"Ann Example <{sender}>"
    message["To"] = headers.pop("To", "support@example.com")
    message["Subject"] = subject
    message["Message-ID"] = headers.pop("Message_ID", f"<{os.urandom(8).hex()}@mail.example.com>")
    for name, value in headers.items():
        message[name.replace("_", "-")] = " ".join(value.split())
    message.set_content("It went dark this morning.\n")
    return message


@pytest.fixture
def mail_of() -> Callable[..., EmailMessage]:
    return person_mail


@pytest.fixture
def waiting() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def port_of() -> Callable[[], int]:
    """Free ports, one at a call."""
    return free_port
