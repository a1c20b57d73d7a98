"""An operator at the shell: a folder with the example desk, its store, and both commands as they are called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from daemon.clock import utc_now
from daemon.commands.triagectl import app as triagectl_app
from daemon.commands.triaged import app as triaged_app
from daemon.config import load_config
from daemon.desks import make_desk
from daemon.example import write_example
from daemon.ids import Ids
from daemon.inbox import Inbox
from daemon.policy import read_policy
from daemon.stages import Stages
from desk.receive import Receipt, mail_receipt_key
from incidents.signal import Mail
from ingest.formats import mail as mail_format
from ingest.parser import ParseFailed
from store.engine import Store, open_store
from store.migrate import migrate
from store.receipts import keep_receipts, pack


class HereParser:
    """Parses mails in this process."""

    restarts = 0

    def parse(self, mails: Sequence[tuple[bytes, Mapping[str, Any]]]) -> list[Mail | ParseFailed]:
        return [mail_format.parse(body, envelope) for body, envelope in mails]


@dataclass
class Shell:
    """The example desk, and what `triagectl` and `triaged` say of it."""

    folder: Path
    store: Store

    @property
    def config(self) -> Path:
        return self.folder / "triaged.yml"

    def ctl(self, *words: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(triagectl_app, ["-c", str(self.config), *words], input=stdin)

    def ok(self, *words: str, stdin: str | bytes | None = None) -> str:
        """What a command prints that must succeed."""
        result = self.ctl(*words, stdin=stdin)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str) -> str:
        """The one sentence of a command that is refused; nothing goes to standard output."""
        result = self.ctl(*words)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert result.stderr.count("\n") == 1
        assert result.stderr.endswith((".\n", "?\n"))
        return result.stderr.strip()

    def triaged(self, *words: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(triaged_app, list(words), input=stdin)

    # what comes in

    def post(self, *alerts: Mapping[str, Any]) -> None:
        body = json.dumps({"version": "4", "groupKey": "{}", "alerts": alerts}).encode()
        self.keep(Receipt("prometheus", "alertmanager", utc_now(), {"type": "application/json"}, body, None))

    def keep(self, receipt: Receipt) -> None:
        with self.store.writing() as connection:
            keep_receipts(connection, [pack(receipt)])

    def mail(self, subject: str, *, sender: str = "kim@example.org") -> None:
        body = (
            f"From: Kim Example <{sender}>\r\nTo: support@example.com\r\nSubject: {subject}\r\n"
            f"Message-ID: <{abs(hash(subject))}@mail.example.org>\r\n\r\nIt is odd.\r\n"
        ).encode()
        envelope = {"from": sender, "to": ["support@example.com"], "mailbox": "support", "peer": "x"}
        self.keep(Receipt("smtp", "mail", utc_now(), envelope, body, mail_receipt_key(body, ["support@example.com"])))

    def work(self) -> None:
        """Rounds until nothing waits."""
        config = load_config(self.config).config
        assert config is not None
        policy = read_policy(config.policy, framework="lean", zone=config.desk.zone).policy
        assert policy is not None
        desk = make_desk(
            self.store, policy, domain="example.com", addresses=config.addresses, groups=config.groups
        )
        inbox = Inbox(self.store, ids=Ids(self.store), parser=HereParser(), owner="worker.1", stages=Stages())
        for _ in range(100):
            if not inbox.round(desk, utc_now()).busy:
                return
        pytest.fail("the inbox does not come to an end")


def alert_of(name: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    ended = "2026-11-23T11:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    return {
        "status": status, "labels": {"alertname": name, **labels}, "annotations": {},
        "startsAt": "2026-11-23T11:00:00Z", "endsAt": ended, "fingerprint": name.encode().hex().zfill(16)[:16],
    }  # fmt: skip


@pytest.fixture
def alert() -> Any:
    """Makes an alert as an Alertmanager tells it."""
    return alert_of


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """The example desk with an empty store."""
    folder = tmp_path / "desk"
    write_example(folder)
    url = f"sqlite:///{folder / 'state' / 'triaged.db'}"
    migrate(url, create=True)
    store = open_store(url)
    yield Shell(folder, store)
    store.close()


@pytest.fixture
def postgresql_shell(tmp_path: Path, postgresql_url: str) -> Iterator[Shell]:
    """The same on PostgreSQL."""
    folder = tmp_path / "desk"
    write_example(folder)
    path = folder / "triaged.yml"
    path.write_text(path.read_text().replace("sqlite:///state/triaged.db", f'"{postgresql_url}"'))
    store = open_store(postgresql_url)
    yield Shell(folder, store)
    store.close()


@pytest.fixture
def busy_shell(shell: Shell) -> Shell:
    """The same with three records: two alerts, and a mail."""
    shell.post(alert_of("DiskFull", severity="critical", instance="db1"), alert_of("Slow", severity="warning"))
    shell.mail("My screen is dark")
    shell.work()
    return shell
