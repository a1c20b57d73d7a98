"""A run in which the desk ends at every step of its own, one after another: each place where it writes, each moment."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from daemon.clock import utc_now
from ledger.errors import LedgerError
from ledger.exiting import ENDED, MOMENTS, Step
from ledger.house import House
from ledger.run import Outcome, Plan, finish, scene_of
from ledger.senders import GROUP, PAGING, Told, titles_of
from ledger.sink import Sink
from ledger.verdict import Expected, judge
from store.claims import release_all
from store.engine import open_store
from store.migrate import migrate

#: Mails that each life is given, beside one group of alerts of which one escalates.
MAILS = 6
_LIFE_SECONDS = 120

Thing = tuple[str, int]


@dataclass
class Lives:
    """One process after another, and what they said."""

    house: House
    told: Told = field(default_factory=Told)
    count: int = 0
    unkept: list[Thing] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    def live(self, step: Step | None) -> bool:
        """One life, with new things of its own; whether it ended at the step."""
        new = [("mail", self.count * MAILS + number) for number in range(MAILS)]
        new.append(("group", self.count * (PAGING // GROUP)))
        self.count += 1
        task = {"again": self.unkept, "new": new, "step": step, "life": self.count}
        command = [sys.executable, "-m", "ledger.child", str(self.house.config), json.dumps(task)]
        with (self.house.folder / "children.log").open("ab") as log:
            said = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, check=False, timeout=_LIFE_SECONDS)
        if said.returncode not in (0, ENDED):
            text = (self.house.folder / "children.log").read_text()
            raise LedgerError(f"a life that was to end at {step} ended with {said.returncode}:\n{text[-3000:]}")
        self._hear(said.stdout, [*self.unkept, *new])
        return said.returncode == ENDED

    def _hear(self, said: bytes, wanted: list[Thing]) -> None:
        kept: set[Thing] = set()
        for line in said.splitlines():
            word = json.loads(line)
            if "places" in word:
                self.places = word["places"]
            else:
                kept.add((word["kind"], word["number"]))
                self.told.yes(word["receipt"])
        self.unkept = [thing for thing in wanted if thing not in kept]
        self.told.again += len(self.unkept)


def run_steps(plan: Plan, *, store_url: str | None = None) -> Outcome:
    """End at every step that a life without an end was seen to pass, then let the daemon finish, and judge.

    ``plan.strikes`` is the most steps that are tried, 0 for all; its numbers of mails and alerts mean nothing here.
    """
    with scene_of(plan, store_url) as (scene, sink):
        begun = time.monotonic()
        migrate(scene.house.store_url, create=True)
        lives = Lives(scene.house)
        lives.live(None)
        steps = [Step(place, moment) for place in lives.places for moment in MOMENTS]
        every = max(1, -(-len(steps) // plan.strikes)) if plan.strikes else 1
        for step in steps[plan.seed % every :: every]:
            lives.ends[" ".join(step)] += lives.live(step)
        return _judge(plan, lives, sink, begun)


def _judge(plan: Plan, lives: Lives, sink: Sink, begun: float) -> Outcome:
    """Have the daemon finish, and compare."""
    house = lives.house
    lives.live(None)
    sink.trouble = False
    store = open_store(house.store_url)
    try:
        with store.writing() as connection:
            release_all(connection, utc_now())
        house.start()
        finish(store)
        house.stop()
        mails = range(lives.count * MAILS)
        groups = [life * (PAGING // GROUP) for life in range(lives.count)]
        titles, paging = titles_of(mails, groups, ())
        wanted = Expected(titles, paging, {"mail": len(mails)}, frozenset(lives.told.receipts))
        with store.reading(longest=None) as connection:
            verdict = judge(connection, wanted, sink.mails())
    finally:
        store.close()
    verdict.tell("steps that were not passed", [step for step, ended in lives.ends.items() if not ended])
    return Outcome(
        plan, verdict, lives.ends, lives.told.again, time.monotonic() - begun, sink.later, sink.dropped
    )
