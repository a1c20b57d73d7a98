"""A desk without doors in one process, which ends at a step: keeps, works, fires, composes and hands over.

``python -m ledger.child CONFIG TASK``; the task is JSON: ``again`` and ``new`` things to keep, a ``step`` or none.
What is kept is told on standard output; so are the places that were passed, when it comes to its end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from daemon.clock import utc_now
from daemon.committer import Committer
from daemon.config import Config, load_config
from daemon.desks import make_desk
from daemon.outbox import handover_round
from daemon.policy import read_policy
from daemon.worker import Worker
from desk.context import Desk
from desk.receive import Receipt, mail_receipt_key
from ingest.parser import MailParser
from ledger.exiting import ExitingStore, Step
from ledger.senders import group_of, mail_of
from notifiers.registry import open_relay
from notifiers.spec import Relay
from store.claims import release_all
from store.engine import Store, open_store

ADDRESS = "support@example.com"
#: How long it goes on with nothing to do, in seconds: the first step of an escalation comes due meanwhile.
IDLE = 2.6
_GROUP_BEGUN = "2026-01-05T08:00:00+00:00"


class Child:
    """What one process does."""

    def __init__(self, config: Config, store: ExitingStore, worker: Worker, relay: Relay, owner: str) -> None:
        self._config, self._exiting, self._worker, self._relay, self._owner = config, store, worker, relay, owner
        self._store = cast("Store", store)  # in all that is used of it

    async def live(self, task: Mapping[str, Any]) -> None:
        """Finish what others left, then keep and do the new, and end at the step."""
        with self._store.writing() as connection:
            release_all(connection, utc_now())
        await self._keep(task["again"])
        await self._work(0)
        self._exiting.armed = True
        await self._keep(task["new"])
        await self._work(IDLE)
        self._exiting.armed = False

    async def _keep(self, things: Sequence[tuple[str, int]]) -> None:
        committer = Committer(self._store)
        committer.start(asyncio.get_running_loop())

        async def keep(kind: str, number: int) -> None:
            kept = await committer.keep(_receipt(kind, number))
            print(json.dumps({"kind": kind, "number": number, "receipt": kept.id}), flush=True)

        await asyncio.gather(*(keep(kind, number) for kind, number in things))
        await asyncio.to_thread(committer.stop)

    async def _work(self, idle: float) -> None:
        """Rounds until there has been nothing to do for so long, in seconds."""
        until = time.monotonic() + idle
        while True:
            report = await asyncio.to_thread(self._worker.round, utc_now())
            handed = await handover_round(self._store, self._relay, owner=f"{self._owner}.outbox", now=utc_now())
            if report is None and not handed.busy:
                if time.monotonic() > until:
                    return
                await asyncio.sleep(0.05)


def _receipt(kind: str, number: int) -> Receipt:
    """As a door would make it."""
    if kind == "group":
        posted = {"type": "application/json", "peer": "127.0.0.1", "agent": ""}
        return Receipt("prometheus", "alertmanager", utc_now(), posted, group_of(number, _GROUP_BEGUN), None)
    body = mail_of(number)
    envelope = {
        "from": f"p{number}@example.com", "to": [ADDRESS], "peer": "127.0.0.1", "helo": "mail.example.com",
        "tls": False, "user": None, "mailbox": "support",
    }  # fmt: skip
    return Receipt("support", "mail", utc_now(), envelope, body, mail_receipt_key(body, [ADDRESS]))


def _desk(store: Store, config: Config) -> Desk:
    policy = read_policy(config.policy, framework=config.desk.framework, zone=config.desk.zone).policy
    assert policy is not None
    return make_desk(store, policy, domain=config.desk.domain, addresses=config.addresses, groups=config.groups)


def main() -> int:
    """Live one life; the exit status is `ledger.exiting.ENDED` where it ended at its step."""
    path, task = Path(sys.argv[1]), json.loads(sys.argv[2])
    config = load_config(path).config
    assert config is not None
    store = ExitingStore(open_store(config.store), Step(*task["step"]) if task["step"] else None)
    given = cast("Store", store)
    desk = _desk(given, config)
    relay = open_relay(config.relay.url, sender=config.relay.sender.address, domain=config.desk.domain)
    owner = f"child-{task['life']}"
    with MailParser(trust=None) as parser:
        worker = Worker(given, desk=lambda: desk, config=config, owner=owner, parser=parser)
        asyncio.run(Child(config, store, worker, relay, owner).live(task))
    store.close()
    print(json.dumps({"places": sorted(store.places)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
