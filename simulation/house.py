"""The composed desk in one process: the real store, worker, hand-over, console and door, with a made-up clock.

The database is a real SQLite file. Its connections flush nothing (``synchronous=OFF``), for nobody pulls a plug here:
what a death leaves behind is what was committed.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import event

from daemon.acts import Acts
from daemon.config import Config, load_config
from daemon.desks import make_desk
from daemon.example import write_example
from daemon.outbox import Handover, handover_round
from daemon.pages import StorePages
from daemon.policy import pack_folder, read_policy
from daemon.worker import Worker
from desk.context import Desk
from desk.receive import Kept, Receipt
from incidents.signal import Mail
from ingest.formats import mail as mail_format
from ingest.parser import ParseFailed
from rules.policy import Policy
from simulation.faults import Faults, StruckStore
from simulation.letters import POISON
from simulation.relay import ScriptedRelay
from store.claims import release, release_all
from store.clock import believe_clock
from store.engine import open_store
from store.migrate import migrate
from store.receipts import keep_receipts, pack

_ZONE = ZoneInfo("Europe/Berlin")
ADDRESSES = {"support@example.com": "support", "shop@example.com": "shop"}
_MAILBOXES = """
mailboxes:
  support: {ack: always, follow_up: reopen, unknown_senders: accept, watchers: true}
  shop: {ack: always, follow_up: new, unknown_senders: accept, watchers: false}
"""
_AUTOMATIC = "automatic_mail: {per_hour: 10, per_day: 40, in_all_per_hour: 2000}\n"
#: What each variant of the policy says in place of the pack.
_VARIANTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "plain": {},
    "without_ana": {"oncall.yml": ("[ana", "[ben")},
    "without_chloe": {"oncall.yml": ("chloe", "ana")},
    "few_pages": {"escalation.yml": ("most_per_hour: 10", "most_per_hour: 3")},
    "slow_path": {"escalation.yml": ("after: 10m", "after: 15m")},
    "long_refire": {"lifecycle.yml": ("refire_within: 30m", "refire_within: 6h")},
    "few_mails": {"mailboxes.yml": ("per_hour: 10", "per_hour: 3")},
}
VARIANTS = tuple(_VARIANTS)
_WATCHED = {
    "receipts": "id", "signals": "id", "incidents": "id", "targets": "id", "outbox": "id", "timeline": "rowid",
    "fold_keys": "rowid",
}  # fmt: skip


@cache
def policy_of(variant: str) -> Policy:
    """A variant of the pack."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in pack_folder("lean").glob("*.yml"):
            text = _MAILBOXES + _AUTOMATIC if path.name == "mailboxes.yml" else path.read_text("utf-8")
            before, after = _VARIANTS[variant].get(path.name, ("", ""))
            if before and before not in text:
                raise LookupError(f"{path.name} has no {before!r} to change")
            folder.joinpath(path.name).write_text(text.replace(before, after) if before else text, "utf-8")
        loaded = read_policy(folder, framework="lean", zone=_ZONE)
    if loaded.policy is None:
        raise LookupError(f"the variant {variant} does not load: {loaded.problems}")
    return loaded.policy


@cache
def _config(folder: Path) -> Config:
    write_example(folder / "example")
    path = folder / "example" / "triaged.yml"
    loaded = load_config(path)
    assert loaded.config is not None
    return loaded.config


def make_template(folder: Path) -> Path:
    """A migrated database with a name and a key that are always the same, and triggers that note what moves."""
    path = folder / "template.db"
    migrate(f"sqlite:///{path}", create=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE instance SET id = 'simulate'")
        connection.execute("UPDATE keys SET secret = ?", (b"simulation" * 3 + b"ok",))
        connection.execute("CREATE TABLE moved (place INTEGER PRIMARY KEY, name TEXT, number INTEGER, new INTEGER)")
        for table, number in _WATCHED.items():
            for verb, new in (("INSERT", 1), ("UPDATE", 0)):
                connection.execute(
                    f"CREATE TRIGGER moved_{table}_{verb} AFTER {verb} ON {table}"
                    f" BEGIN INSERT INTO moved (name, number, new) VALUES ('{table}', NEW.{number}, {new}); END"
                )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


class HereParser:
    """Reads mails in this process. What is poison kills the parser of the product, which says so."""

    restarts = 0

    def parse(self, mails: Sequence[tuple[bytes, Mapping[str, Any]]]) -> list[Mail | ParseFailed]:
        """One mail or failure for each, in order."""
        poison = f"X-Kind: {POISON}".encode()
        return [
            ParseFailed("killed") if poison in body else mail_format.parse(body, envelope) for body, envelope in mails
        ]


class _Here(asyncio.SelectorEventLoop):
    """Does what is given to threads at once and in this one: the same order each time, and no waiting for threads."""

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """The result, ready."""
        del executor
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - a death too goes to whoever waits for the thread
            done.set_exception(error)
        return done


@dataclass(frozen=True)
class Setting:
    """Where houses are built: a folder of this run, and the database to begin with."""

    folder: Path
    template: Path


class House:
    """One desk and everything around it. What is killed is built again, on what the database holds."""

    def __init__(self, setting: Setting, *, seed: int, now: datetime) -> None:
        path = setting.folder / "triaged.db"
        for old in setting.folder.glob("triaged.db*"):
            old.unlink()
        shutil.copyfile(setting.template, path)
        plain = open_store(f"sqlite:///{path}")
        event.listen(plain.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        plain.close()  # its one connection flushes; the next ones do not
        self.faults = Faults()
        self.store = StruckStore(plain.engine, plain.kind, plain.path, self.faults)
        self.relay = ScriptedRelay()
        self.config = replace(_config(setting.folder), store=f"sqlite:///{path}")
        self._salts = random.Random(seed)
        self._loop = _Here()
        self.lives = 0
        self.read_policy("plain")
        self.start(now)

    # ------------------------------------------------------------------ its processes

    def read_policy(self, variant: str) -> None:
        """Work by this variant from now on."""
        desk = make_desk(
            self.store, policy_of(variant), domain="example.com", addresses=ADDRESSES,
            groups={"prometheus": "prometheus", "pager": "pager"},
        )  # fmt: skip
        self.desk = replace(desk, random_bytes=self._salts.randbytes)

    def start(self, now: datetime) -> None:
        """The daemon begins."""
        with self.store.writing() as connection:
            release_all(connection, now)
        believe_clock(self.store, now)
        self.lives += 1
        self.courier = f"node.{self.lives}.outbox"
        self.acts = Acts(self.store, self._present)
        self.pages = StorePages(self.store, self.acts, self._present)
        self._hire()

    def believe_clock(self, now: datetime, ahead: timedelta) -> None:
        """The daemon sees that its clock was set."""
        believe_clock(self.store, now, ahead=ahead)

    def replace_worker(self, now: datetime) -> None:
        """The daemon sees that its worker died."""
        with self.store.writing() as connection:
            release(connection, self.owner, now)
        self.lives += 1
        self._hire()

    def _hire(self) -> None:
        self.owner = f"node.0.{self.lives}"
        parser: Any = HereParser()
        self.worker = Worker(self.store, desk=self._present, config=self.config, owner=self.owner, parser=parser)

    def _present(self) -> Desk:
        return self.desk

    def close(self) -> None:
        """Everything ends."""
        self._loop.close()
        self.store.close()

    # ------------------------------------------------------------------ its doors and rounds

    def keep(self, receipt: Receipt) -> Kept:
        """What a door has the committer do; its answer comes after the commit."""
        packed = pack(receipt)
        with self.store.writing() as connection:
            return keep_receipts(connection, [packed])[0]

    def hand_over(self, now: datetime) -> Handover:
        """One round of handing over."""
        return self._loop.run_until_complete(handover_round(self.store, self.relay, owner=self.courier, now=now))
