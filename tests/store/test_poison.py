"""A receipt that takes its worker down each time: counted at the claim, quarantined after three, others flow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from store.claims import release

ROOT = str(Path(__file__).parents[2])

_DYING = """
import os, sys
sys.path.insert(0, {root!r})
from datetime import datetime
from zoneinfo import ZoneInfo
from daemon.desks import make_desk
from daemon.ids import Ids
from daemon.inbox import Inbox
from daemon.policy import read_policy
from daemon.stages import Stages
from desk import alerts
from store.engine import open_store

opens = alerts._open_record

def dies(working, heard, **more):
    if heard.alert.labels.get("alertname") == "poison":
        os._exit(9)
    return opens(working, heard, **more)

alerts._open_record = dies
store = open_store({url!r})
policy = read_policy(None, framework="lean", zone=ZoneInfo("UTC")).policy
desk = make_desk(store, policy, domain="desk.example.com", addresses={{}}, groups={{"prometheus": "prometheus"}})
inbox = Inbox(store, ids=Ids(store), parser=None, owner={owner!r}, stages=Stages())
while inbox.round(desk, datetime.fromisoformat({now!r})).busy:
    pass
"""


def test_a_receipt_that_kills_its_worker_is_given_up_after_three_deaths_alone(running: Any, store_url: str) -> None:
    """Fault 113: the fourth life quarantines it without touching it, and a person sees why."""
    for name in ("A", "poison", "B"):
        alert = {"status": "firing", "labels": {"alertname": name}, "annotations": {},
                 "startsAt": "2026-11-23T11:00:00Z", "fingerprint": f"{len(name):016x}{name}"}  # fmt: skip
        running.post(json.dumps({"version": "4", "alerts": [alert]}).encode())
    deaths = 0
    for life in range(8):
        owner = f"life.{life}"
        script = _DYING.format(root=ROOT, url=store_url, owner=owner, now=running.now.isoformat())
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=60)
        if ended.returncode == 0:
            break
        assert ended.returncode == 9, ended.stderr.decode()
        deaths += 1
        with running.store.writing() as connection:
            release(connection, owner, running.now)
    states = [row.state for row in running.rows("SELECT state FROM receipts ORDER BY id")]
    assert states == ["worked", "quarantined", "worked"]
    assert deaths == 4  # once in a batch, three times alone
    assert len(running.records()) == 3
