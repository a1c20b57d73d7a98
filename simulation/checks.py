"""The guarantees as invariants, looked at after every step for what moved in it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from incidents.effects import AUTOMATIC, PAGES
from kit.instants import from_micros, to_micros
from rules.policy import Policy
from simulation.events import MailSent
from simulation.letters import START
from simulation.model import Fate, Model
from simulation.relay import ScriptedRelay
from simulation.watching import Moved, Watch
from store.compress import decompress
from store.tables.incidents import CLOSED, NO_CLOCK, RESOLVED

OPEN = ("new", "working", "waiting_customer", "waiting_vendor", "restored")
_HOUR = timedelta(hours=1)
_PATHS = {"P1": "escalation.standard", "P2": "escalation.standard", "P3": "escalation.quiet"}
#: Where a notification may go from where it is.
_SENDING = {
    "waiting": {"waiting", "ready", "delivered", "superseded", "dead"},  # composed and handed over in one step
    "ready": {"ready", "delivered", "dead", "superseded"},
}


class Broken(Exception):
    """A guarantee does not hold."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant, self.what = invariant, what


def hold(truth: object, invariant: str, what: str) -> None:
    """Raise `Broken` unless it is true."""
    if not truth:
        raise Broken(invariant, what)


@dataclass
class Track:
    """What the timeline of one record told so far.

    ``told`` is the last escalation by round and step, ``runs`` how often a path began. ``by_hand``: people brought it
    back, so that it may be open while none of its alerts fires.
    """

    seq: int = 0
    state: str | None = None
    acknowledged: bool = False
    told: tuple[int, int] | None = None
    runs: int = 0
    breached: set[str] = field(default_factory=set)
    by_hand: bool = False
    reopened: int = 0


@dataclass(frozen=True)
class Sight:
    """What a check may look at."""

    watch: Watch
    model: Model
    relay: ScriptedRelay
    policy: Policy
    now: datetime
    strikes: int  # so far; each may make the relay hear a mail twice


class Checks:
    """All invariants, with what they remember."""

    def __init__(self) -> None:
        self._tracks: dict[int, Track] = defaultdict(Track)
        self._receipts = 0
        self._outbox: dict[int, sqlite3.Row] = {}
        self._automatic: Counter[tuple[str, datetime]] = Counter()
        self._pages: Counter[tuple[str, datetime]] = Counter()
        self._notices: set[int] = set()

    def look(self, sight: Sight) -> None:
        """Look at everything that moved. Raises `Broken`."""
        moved = sight.watch.moved()
        self._receipts_fit(sight, moved)
        self._timelines_fit(sight, moved)
        self._records_fit(sight, moved)
        self._keys_fit(sight, moved)
        self._outbox_fits(sight, moved)
        self._signals_fit(sight, moved)
        hold(not sight.relay.differing, "equal bytes", f"two mails are called {sorted(sight.relay.differing)}")

    # ------------------------------------------------------------------ nothing missing, nothing doubled

    def _receipts_fit(self, sight: Sight, moved: Moved) -> None:
        self._receipts += len(moved.new("receipts"))
        known = sight.model.receipts
        hold(self._receipts == len(known), "accepted is kept once", f"{self._receipts} rows for {len(known)} receipts")
        for row in sight.watch.among("SELECT * FROM receipts WHERE id IN", moved.of("receipts")):
            what = known.get(row["id"])
            hold(what is not None, "accepted is kept once", f"receipt {row['id']} is of nobody")
            assert what is not None
            if row["state"] == "worked":
                items = sum(json.loads(row["counts"]).values())
                hold(items == what.items, "every item counted", f"receipt {row['id']}: {items} of {what.items}")
                hold(what.fate is not Fate.POISON, "poison is set aside", f"receipt {row['id']} was worked")
            elif row["state"] == "quarantined":
                hold(
                    what.fate is Fate.POISON, "nothing innocent in quarantine", f"receipt {row['id']}: {row['error']}"
                )

    def _signals_fit(self, sight: Sight, moved: Moved) -> None:
        for row in sight.watch.among("SELECT * FROM signals WHERE id IN", moved.new("signals")):
            what = sight.model.receipts[row["receipt"]]
            check = _FATES.get(what.fate)
            if check is not None:
                check(sight, row)

    # ------------------------------------------------------------------ records

    def _timelines_fit(self, sight: Sight, moved: Moved) -> None:
        query = (
            'SELECT t.subject, t.seq, t.kind, t.author, t.recorded_at, v."values" AS said FROM timeline t'
            " JOIN timeline_values v ON v.subject = t.subject AND v.seq = t.seq WHERE t.rowid IN"
        )
        rows = sorted(sight.watch.among(query, moved.new("timeline")), key=lambda row: (row["subject"], row["seq"]))
        for row in rows:
            track = self._tracks[row["subject"]]
            hold(row["seq"] == track.seq + 1, "one order", f"record {row['subject']}: {row['seq']} after {track.seq}")
            track.seq = row["seq"]
            said = {name: leaf[1] for name, leaf in json.loads(row["said"]).items()}
            follow = _KINDS.get(row["kind"])
            if follow is not None:
                follow(sight, row, track, said)

    def _records_fit(self, sight: Sight, moved: Moved) -> None:
        touched = dict.fromkeys(moved.of("incidents"))
        for row in sight.watch.among("SELECT DISTINCT subject FROM targets WHERE id IN", moved.of("targets")):
            touched[row["subject"]] = None
        for row in sight.watch.among("SELECT incident FROM fold_keys WHERE rowid IN", moved.of("fold_keys")):
            if row["incident"] is not None:
                touched[row["incident"]] = None
        for row in sight.watch.among("SELECT * FROM incidents WHERE id IN", list(touched)):
            self._record_fits(sight, row)

    def _record_fits(self, sight: Sight, row: sqlite3.Row) -> None:
        track, name = self._tracks[row["id"]], f"record {row['id']} (number {row['number']})"
        if track.state is None:
            hold(row["state"] in ("new", "resolved"), "legal moves only", f"{name} begins {row['state']}")
            track.state = row["state"]
        hold(row["state"] == track.state, "legal moves only", f"{name} is {row['state']}, its story says {track.state}")
        hold(row["team"] in sight.policy.teams, "one owner", f"{name} belongs to {row['team']!r}")
        hold(row["head_seq"] == track.seq, "one order", f"{name} has {row['head_seq']} entries, there are {track.seq}")
        firing = sight.watch.number(
            "SELECT count(*) FROM fold_keys WHERE incident = ? AND status = 'firing'", row["id"]
        )
        hold(row["firing"] == firing, "firing keys are counted", f"{name} says {row['firing']}, {firing} fire")
        open_without_end = firing == 0 and row["state"] in OPEN[:4] and not track.by_hand
        if open_without_end:
            ended = sight.watch.value(
                "SELECT 1 FROM fold_keys WHERE incident = ? AND status = 'resolved' LIMIT 1", row["id"]
            )
            hold(not ended, "all its alerts ended, so it is restored", f"{name} is {row['state']}")
        _clocks_fit(sight, row, track)

    # ------------------------------------------------------------------ keys

    def _keys_fit(self, sight: Sight, moved: Moved) -> None:
        for row in sight.watch.among("SELECT * FROM fold_keys WHERE rowid IN", moved.of("fold_keys")):
            if not row["key"].startswith("alert:") or row["key"].startswith("alert::"):
                continue  # no alert's, or a count that stayed with an older record
            heard = sight.model.keys.get(row["key"])
            hold(heard is not None, "a key is of a monitor", row["key"])
            assert heard is not None
            wanted = "firing" if heard.firing else "resolved"
            hold(row["status"] == wanted, "the newest episode counts", f"{row['key']} is {row['status']}, not {wanted}")
            hold((row["incident"] is not None) or not heard.started, "a fire has a record", row["key"])
            if heard.source != "pager":
                episode = to_micros(START + timedelta(seconds=heard.episode))
                hold(row["episode"] == episode, "the newest episode counts", f"{row['key']} has another episode")

    # ------------------------------------------------------------------ what is told

    def _outbox_fits(self, sight: Sight, moved: Moved) -> None:
        notices: dict[int, None] = {}
        query = (
            "SELECT id, subject, kind, person, recipient, message_id, state, reason, created_at, next_at, notice,"
            " members, bytes FROM outbox WHERE id IN"
        )
        for row in sorted(sight.watch.among(query, moved.of("outbox")), key=lambda row: (row["created_at"], row["id"])):
            before = self._outbox.get(row["id"])
            if before is None:
                self._may_be_told(sight, row)
            else:
                _goes_on(before, row)
            if row["state"] == "delivered":
                times = sight.relay.answered[row["message_id"]]
                hold(1 <= times <= 1 + sight.strikes, "handed over once", f"outbox {row['id']}: {times} times")
            if row["state"] == "superseded":
                _newer_tells(sight, row)
            self._outbox[row["id"]] = row
            notices |= {number: None for number in (row["notice"],) if number is not None}
            notices |= {row["id"]: None} if row["kind"] == "notice" else {}
        for notice in notices:
            _notice_tells(sight, notice)

    def _may_be_told(self, sight: Sight, row: sqlite3.Row) -> None:
        address, kind, limits = row["recipient"], row["kind"], sight.policy.limits
        hour = from_micros(row["created_at"]).replace(minute=0, second=0, microsecond=0)
        hold(address not in _DESK, "no mail to ourselves", f"outbox {row['id']} to {address}")
        if row["state"] in ("suppressed", "collapsed"):
            return
        if kind in AUTOMATIC:
            hold(address not in sight.model.machines, "no automatic mail to machines", f"{kind} to {address}")
            day = sum(self._automatic[address, hour - _HOUR * back] for back in range(24))
            within = self._automatic[address, hour] < limits.automatic_mails_per_hour
            within = within and day < limits.automatic_mails_per_day
            hold(within, "within the budget", f"{kind} {row['id']} to {address} is one too many")
            self._automatic[address, hour] += 1
        elif kind in PAGES:
            hold(
                self._pages[address, hour] < limits.pages_per_hour, "within the budget",
                f"page {row['id']} to {address} is one too many",
            )  # fmt: skip
            self._pages[address, hour] += 1

    # ------------------------------------------------------------------ the end

    def end(self, sight: Sight) -> None:
        """All is quiet: nothing waits any more."""
        waiting = sight.watch.rows("SELECT id FROM receipts WHERE state = 'waiting'")
        hold(not waiting, "nothing is left", f"{len(waiting)} receipts wait")
        unsent = sight.watch.rows("SELECT id, state FROM outbox WHERE state IN ('waiting', 'ready')")
        hold(not unsent, "nothing is left", f"{len(unsent)} notifications wait, as outbox {[*map(tuple, unsent[:3])]}")
        ticking = sight.watch.rows("SELECT subject, name FROM targets WHERE next_at IS NOT NULL")
        hold(not ticking, "nothing is left", f"{len(ticking)} timers wait, as {[*map(tuple, ticking[:3])]}")
        keys = {row["key"] for row in sight.watch.rows("SELECT key FROM fold_keys WHERE key LIKE 'alert:%'")}
        missing = sight.model.keys.keys() - keys
        hold(not missing, "every key is known", f"{sorted(missing)[:5]} are not")
        lost = sight.watch.rows(
            "SELECT id FROM outbox WHERE state = 'collapsed'"
            " AND notice NOT IN (SELECT id FROM outbox WHERE kind = 'notice' AND state IN ('delivered', 'dead'))"
        )
        hold(not lost, "each page told or collapsed", f"{len(lost)} collapsed pages were never told")


_DESK = {"support@example.com", "shop@example.com"}


# ---------------------------------------------------------------------- mails


def _root(sight: Sight, record: int) -> int:
    """The record that this one was merged into, or itself."""
    for _ in range(50):
        row = sight.watch.rows(
            'SELECT l."to" FROM links l JOIN incidents i ON i.id = l."from"'
            " WHERE l.\"from\" = ? AND l.relation = 'duplicate_of' AND i.resolution = 'duplicate'"
            " ORDER BY l.since DESC LIMIT 1",
            record,
        )
        if not row:
            break
        record = row[0][0]
    return record


def _opens(sight: Sight, row: sqlite3.Row) -> None:
    hold(row["disposition"] == "opened", "a new mail opens a record", f"signal {row['id']} is {row['disposition']}")
    _acknowledged(sight, row)


def _acknowledged(sight: Sight, row: sqlite3.Row) -> None:
    what = sight.model.receipts[row["receipt"]]
    found = sight.watch.number(
        "SELECT count(*) FROM outbox WHERE subject = ? AND kind = 'acknowledgement' AND created_at <= ?",
        row["incident"], to_micros(sight.now),
    )
    if what.by_machine:
        return
    hold(found == 1, "who writes hears of it once", f"record {row['incident']}: {found} acknowledgements")


def _answers(sight: Sight, row: sqlite3.Row) -> None:
    what = sight.model.receipts[row["receipt"]]
    assert what.record is not None
    assert isinstance(what.event, MailSent)
    root = _root(sight, what.record)
    if row["disposition"] == "folded":
        same = _root(sight, row["incident"]) == root
        hold(same, "an answer finds its record", f"signal {row['id']} went to {row['incident']}, not to {what.record}")
        return
    hold(row["disposition"] == "opened", "an answer finds its record", f"signal {row['id']}: {row['disposition']}")
    linked = sight.watch.rows('SELECT "to", relation FROM links WHERE "from" = ?', row["incident"])
    roots = {_root(sight, link["to"]) for link in linked}
    hold(root in roots, "an answer finds its record", f"record {row['incident']} knows nothing of {root}")
    if "+" in what.event.to:
        closed = any(link["relation"] == "follow_up_of" for link in linked)
        hold(closed, "an answer finds its record", f"record {row['incident']} was opened beside {root}")


def _is_copy(sight: Sight, row: sqlite3.Row) -> None:
    del sight
    hold(row["disposition"] == "duplicate", "a copy is a copy", f"signal {row['id']} is {row['disposition']}")


def _is_report(sight: Sight, row: sqlite3.Row) -> None:
    del sight
    fits = row["disposition"] in ("folded", "unmatched")
    hold(fits, "a report opens nothing", f"signal {row['id']} is {row['disposition']}")


def _is_loop(sight: Sight, row: sqlite3.Row) -> None:
    del sight
    hold(row["disposition"] == "loop", "our own mail is a loop", f"signal {row['id']} is {row['disposition']}")


_FATES: Mapping[Fate, Callable[[Sight, sqlite3.Row], None]] = {
    Fate.NEW: _opens, Fate.ANSWER: _answers, Fate.COPY: _is_copy, Fate.REPORT: _is_report, Fate.LOOP: _is_loop,
}


# ---------------------------------------------------------------------- the timeline, kind by kind


def _changed(sight: Sight, row: sqlite3.Row, track: Track, said: Mapping[str, Any]) -> None:
    state = said.get("state")
    if isinstance(state, dict):
        _move(sight, row, track, state["before"], state["after"])
    elif isinstance(state, str) and state != (track.state or "new"):  # given to somebody, and so worked on
        _move(sight, row, track, track.state or "new", state)


def _move(sight: Sight, row: sqlite3.Row, track: Track, before: str, after: str) -> None:
    kind = str(sight.watch.value("SELECT kind FROM incidents WHERE id = ?", row["subject"]))
    name = f"record {row['subject']}: {before} to {after}"
    was = track.state or before
    hold(was == before, "legal moves only", f"{name}, but it was {was}")
    hold(sight.policy.lifecycles[kind].move(before, after), "legal moves only", name)
    track.state = after
    track.by_hand = track.by_hand and after in OPEN[:4]


def _acknowledged_entry(sight: Sight, row: sqlite3.Row, track: Track, said: Mapping[str, Any]) -> None:
    before = track.state or "new"
    if said["state"] != before:
        _move(sight, row, track, before, said["state"])
    track.acknowledged = True


def _reopened(sight: Sight, row: sqlite3.Row, track: Track, said: Mapping[str, Any]) -> None:
    track.reopened += 1
    track.by_hand = True
    if said["state"]["before"] != "restored":
        track.acknowledged = False
    _move(sight, row, track, said["state"]["before"], said["state"]["after"])


def _merged(sight: Sight, row: sqlite3.Row, track: Track, said: Mapping[str, Any]) -> None:
    del sight, row
    track.by_hand = True
    if "into" in said:
        track.state = "closed"


def _escalated(sight: Sight, row: sqlite3.Row, track: Track, said: Mapping[str, Any]) -> None:
    name = f"record {row['subject']}: round {said['round']}, step {said['step']}"
    hold(not track.acknowledged, "escalation stops at acknowledgement", name)
    place = (said["round"], said["step"])
    if track.told is None or place <= track.told:
        track.runs += 1
        runs = sight.watch.number(
            "SELECT count(*) FROM targets WHERE subject = ? AND name LIKE 'escalation.%'", row["subject"]
        )
        hold(track.runs <= (runs or 0), "each step fires once", f"{name} after {track.told}")
        before = (said["round"], 0)
    else:
        before = track.told
    skipped = said["step"] - 1 - (before[1] if before[0] == said["round"] else 0)
    hold(len(said["missed"]) == skipped, "a missed step is told", f"{name} after {before} missed {said['missed']}")
    track.told = place
    for person in said["told"]:
        page = sight.watch.value(
            "SELECT 1 FROM outbox WHERE subject = ? AND kind = 'escalation' AND person = ? AND created_at = ?",
            row["subject"], person, row["recorded_at"],
        )
        hold(page, "each page told or collapsed", f"{name} has no page for person {person}")


def _target_entry(sight: Sight, row: sqlite3.Row, track: Track, said: Mapping[str, Any]) -> None:
    del sight, row
    if said.get("breached"):
        track.breached.add(said["name"])


_KINDS: Mapping[str, Callable[[Sight, sqlite3.Row, Track, Mapping[str, Any]], None]] = {
    "changed": _changed, "moved": _changed, "acknowledged": _acknowledged_entry, "reopened": _reopened,
    "merged": _merged, "escalated": _escalated, "target": _target_entry,
}


# ---------------------------------------------------------------------- clocks


def _clocks_fit(sight: Sight, row: sqlite3.Row, track: Track) -> None:
    """What binds a record must be looked at again, unless that is over or the clock stands still."""
    live = sight.watch.rows(
        "SELECT * FROM targets WHERE subject = ? AND state IN ('running', 'paused')", row["id"]
    )
    name, state = f"record {row['id']} ({row['state']})", row["state"]
    waits = state.startswith("waiting_")
    names = [target["name"] for target in live]
    hold(len(names) == len(set(names)), "one clock of a name", f"{name} has {names}")
    hold(("close.auto" in names) == (state == "resolved"), "resolved closes by itself", f"{name} has {names}")
    hold(state in OPEN or not [one for one in names if one != "close.auto"], "the end stops clocks", f"{name}: {names}")
    for target in live:
        what = f"{name}: {target['name']}"
        if target["state"] == "paused":
            hold(waits, "a clock stands only while the record waits", what)
            hold(target["next_at"] is None, "a clock that stands is not looked at", what)
        elif target["next_at"] is None:
            hold(target["name"] in track.breached, "no timer is left behind", f"{what} is never looked at again")
        if target["state"] == "running" and target["name"].startswith("sla."):
            hold(not waits, "a clock stands while the record waits", what)
        if target["name"].startswith("escalation.") or target["name"] == "sla.respond":
            hold(row["acknowledged_at"] is None, "acknowledged is acknowledged", what)
    _stands_in_the_queue(row, live)


def _stands_in_the_queue(row: sqlite3.Row, live: Sequence[sqlite3.Row]) -> None:
    """The list is read along what a record says of its next clock."""
    runs = [one["due_at"] for one in live if one["state"] == "running" and one["name"].startswith("sla.")]
    wanted = {"resolved": RESOLVED, "closed": CLOSED}.get(row["state"], min(runs, default=NO_CLOCK))
    what = f"record {row['id']} ({row['state']}) stands at {row['due_at']}, not at {wanted}"
    hold(row["due_at"] == wanted, "the next clock is on the record", what)


# ---------------------------------------------------------------------- the outbox


def _goes_on(before: sqlite3.Row, after: sqlite3.Row) -> None:
    name = f"outbox {after['id']}: {before['state']} to {after['state']}"
    allowed = _SENDING.get(before["state"], {before["state"]})
    hold(after["state"] in allowed, "a notification goes forward", name)
    hold(before["message_id"] == after["message_id"], "one Message-ID", name)
    fixed = before["bytes"] is None or before["bytes"] == after["bytes"]
    hold(fixed, "equal bytes", f"{name} has other bytes now")


def _newer_tells(sight: Sight, row: sqlite3.Row) -> None:
    newer = sight.watch.value(
        "SELECT 1 FROM outbox WHERE subject = ? AND person = ? AND kind = 'status' AND id <> ? AND created_at >= ?"
        " AND state IN ('waiting', 'ready', 'delivered', 'dead') LIMIT 1",
        row["subject"], row["person"], row["id"], row["created_at"],
    )  # fmt: skip
    hold(newer, "news is overtaken by newer news only", f"outbox {row['id']} is superseded by nothing")


def _notice_tells(sight: Sight, notice: int) -> None:
    rows = sight.watch.rows("SELECT kind, state, members, recipient, bytes FROM outbox WHERE id = ?", notice)
    hold(rows and rows[0]["kind"] == "notice", "each page told or collapsed", f"there is no notice {notice}")
    pages = sight.watch.rows(
        "SELECT DISTINCT i.number FROM outbox o JOIN incidents i ON i.id = o.subject WHERE o.notice = ?", notice
    )
    members = sight.watch.number("SELECT count(*) FROM outbox WHERE notice = ?", notice)
    hold(rows[0]["members"] == members, "each page told or collapsed", f"notice {notice} does not count all")
    stored = rows[0]["bytes"]
    if stored is not None and len(pages) <= 50:  # noqa: PLR2004 - what a notice lists
        body = decompress(stored)
        for page in pages:
            listed = f"INC-{page['number']}".encode() in body or f"REQ-{page['number']}".encode() in body
            hold(listed, "each page told or collapsed", f"notice {notice} does not list {page['number']}")
