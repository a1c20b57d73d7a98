"""Take an alert: fold it by its key and its episode, whatever order signals come in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from desk.acknowledge import acknowledge
from desk.apply import apply
from desk.arrival import Arrival
from desk.change import Change
from desk.context import Desk
from desk.errors import NoSuchMove
from desk.escalate import start_escalation
from desk.facts import facts_of, facts_of_alert
from desk.open import Opening, open_record
from desk.override import replan
from desk.reopen import reopen
from desk.restore import restore
from desk.working import SignalRow, Working
from incidents.assessment import LEVELS
from incidents.episode import FoldKey, Verdict, hear
from incidents.incident import Incident
from incidents.matrix import more_urgent
from incidents.person import Author
from incidents.signal import Alert, Disposition
from incidents.timeline import Entry, EntryKind, Values
from kit.instants import stamp, to_micros
from triage.assess import assess


class Heard(NamedTuple):
    """An alert with what is known of it: its key (None where the sender gave none) and the episode it is about."""

    arrival: Arrival
    alert: Alert
    name: str | None
    known: FoldKey | None
    episode: datetime
    digest: bytes


class Outcome(NamedTuple):
    """What became of an alert; ``spoke`` says that it changed the state of its key, so its signal key is its own."""

    disposition: Disposition
    incident: int | None
    spoke: bool = False
    reason: str | None = None


def fold_key_name(desk: Desk, source: str, alert: Alert) -> str | None:
    """The name of the fold key of an alert: source group and the sender's own key."""
    return None if alert.key is None else f"alert:{desk.group(source)}:{alert.key}"


def only_repeats(known: FoldKey, alert: Alert, arrival: Arrival) -> bool:
    """Whether an alert says again what is known: then its record need not be loaded."""
    digest = digest_of(alert)
    verdict, _ = hear(known, alert, receipt=arrival.id, received_at=arrival.received_at, digest=digest)
    return verdict is Verdict.REPEAT


def take_alert(working: Working, alert: Alert, arrival: Arrival) -> None:
    """Decide one alert against the working set."""
    name = fold_key_name(working.desk, arrival.source, alert)
    known = None if name is None else working.key(name)
    digest = digest_of(alert)
    verdict, episode = hear(known, alert, receipt=arrival.id, received_at=arrival.received_at, digest=digest)
    if verdict is Verdict.REPEAT and known is not None:
        working.repeat(known, receipt=arrival.id, at=arrival.received_at)
        working.count(arrival.id, Disposition.REPEATED)
        return
    heard = Heard(arrival, alert, name, None if known is None else working.settled(known), episode, digest)
    outcome = _VERDICTS[verdict](working, heard)
    working.add_signal(
        SignalRow(
            working.ids.row(), arrival.id, arrival.source, _signal_key(heard) if outcome.spoke else None,
            arrival.received_at, alert.title, alert.status, outcome.disposition, outcome.incident,
            reason=outcome.reason or verdict,
        )
    )  # fmt: skip


def digest_of(alert: Alert) -> bytes:
    """Eight bytes over what a firing may change without becoming another alert."""
    words = [alert.title, alert.summary, alert.severity_hint or "", alert.url or ""]
    for pairs in (alert.labels, alert.annotations):
        for name in sorted(pairs):
            words += (name, pairs[name])
    return hashlib.blake2b("\x1f".join(words).encode(), digest_size=8).digest()


def _signal_key(heard: Heard) -> bytes | None:
    """Fold key (it holds the source group), episode and status as 32 bytes; see docs/sources.md, B3.

    The episode's instant comes first and the rest is hashed: keys that rise with time stand side by side, where those
    in no order would each dirty a page of the index.
    """
    if heard.name is None:
        return None
    began = to_micros(heard.episode).to_bytes(8, "big")
    return began + hashlib.sha256(f"{heard.name}\n{heard.alert.status}".encode()).digest()[:24]


# ---------------------------------------------------------------------- one function a verdict


def _open(working: Working, heard: Heard) -> Outcome:
    return _opened(working, heard, _open_record(working, heard))


def _open_ended(working: Working, heard: Heard) -> Outcome:
    """Its end came first: the record is resolved already, and nobody is told."""
    known = heard.known
    assert known is not None
    ended_at = known.ended_at or known.last_seen_at
    incident = _open_record(working, heard, ended_at=ended_at)
    working.put_key(replace(known, incident=incident.id, signals=known.signals + 1))
    return Outcome(Disposition.OPENED, incident.id, spoke=True)


def _refire(working: Working, heard: Heard) -> Outcome:
    """A new episode: the record returns to work, or a new one takes the key over."""
    known, alert = heard.known, heard.alert
    assert known is not None
    assert known.incident is not None
    before = working.incident(known.incident)
    if before is None or not _comes_back(working, before, alert, heard.arrival.received_at):
        recurred = () if before is None else ((before.id, "recurrence_of"),)
        if before is not None and known.status == "firing":  # ended by hand: that episode is over without a word
            apply(working, Change(replace(before, firing=max(before.firing - 1, 0)), heard.arrival.received_at))
        return _opened(working, heard, _open_record(working, heard, links=recurred))
    firing = before.firing + (known.status == "resolved")
    incident = _back_to_work(working, replace(before, firing=firing), heard)
    working.put_key(_fired(heard, incident.id, heard_before=known.signals))
    return Outcome(Disposition.FOLDED, incident.id, spoke=True)


def _refresh(working: Working, heard: Heard) -> Outcome:
    """The same episode, described anew: the record shows the newest words, and a stronger hint raises it."""
    known, alert = heard.known, heard.alert
    assert known is not None
    before = working.incident(known.incident or 0)
    if before is None:
        return Outcome(Disposition.LATE, known.incident)
    author = _author(working, heard)
    working.put_key(replace(_fired(heard, before.id, heard_before=known.signals), episode=known.episode))
    entries = []
    if before.title != alert.title:
        values: Values = {"title": {"before": before.title, "after": alert.title}, "receipt": heard.arrival.id}
        entries.append(Entry(EntryKind.FOLDED, author.person, values, heard.arrival.received_at))
    fresh = replace(before, title=alert.title, labels=alert.labels, url=alert.url or before.url)
    fresh = apply(working, Change(fresh, heard.arrival.received_at, entries=entries))
    if alert.severity_hint is not None and _stronger(alert.severity_hint, before.severity_hint):
        _raise(working, fresh, heard)
    return Outcome(Disposition.FOLDED, before.id)


def _resolve(working: Working, heard: Heard) -> Outcome:
    """The episode is over; when it was the record's last, the record is restored."""
    known, alert, at = heard.known, heard.alert, heard.arrival.received_at
    assert known is not None
    over = replace(
        known, episode=heard.episode, status="resolved", ended_at=alert.ends_at or at, receipt=heard.arrival.id,
        last_seen_at=at, signals=known.signals + 1,
    )  # fmt: skip
    working.put_key(over)
    before = working.incident(known.incident or 0)
    if before is None:
        return Outcome(Disposition.LATE, known.incident, spoke=True)
    incident = replace(before, firing=max(before.firing - 1, 0))
    author = _author(working, heard)
    if incident.firing == 0 and incident.is_open and incident.state != "restored":
        try:
            change = restore(incident, by=author, at=at, policy=working.desk.policy, text=alert.title)
        except NoSuchMove:  # a request, or a state that policy does not restore from: a person ends it
            pass
        else:
            apply(working, change)
            return Outcome(Disposition.FOLDED, before.id, spoke=True)
    values: Values = {"title": alert.title, "ended": stamp(over.ended_at or at), "still_firing": incident.firing}
    apply(working, Change(incident, at, entries=[Entry(EntryKind.FOLDED, author.person, values, at)]))
    return Outcome(Disposition.FOLDED, before.id, spoke=True)


def _advance(working: Working, heard: Heard) -> Outcome:
    """A newer episode came and went unseen: the record stays ended, and that episode's late fire finds it so."""
    known, at = heard.known, heard.arrival.received_at
    assert known is not None
    over = replace(
        known, episode=heard.episode, ended_at=heard.alert.ends_at or at, receipt=heard.arrival.id, last_seen_at=at,
        signals=known.signals + 1,
    )  # fmt: skip
    working.put_key(over)
    return Outcome(Disposition.FOLDED, known.incident, spoke=True)


def _remember(working: Working, heard: Heard) -> Outcome:
    """The end of what was never seen to begin: no record, but a fire that comes late will find it."""
    if heard.name is None:
        return Outcome(Disposition.UNMATCHED, None)
    at = heard.arrival.received_at
    key = FoldKey(
        heard.name, None, heard.episode, "resolved", heard.arrival.id, heard.digest,
        own_start=heard.alert.starts_at is not None, last_seen_at=at, ended_at=heard.alert.ends_at or at,
        signals=1 if heard.known is None else heard.known.signals + 1,
        version=0 if heard.known is None else heard.known.version,
    )  # fmt: skip
    working.put_key(key)
    return Outcome(Disposition.UNMATCHED, None, spoke=True)


def _acknowledge(working: Working, heard: Heard) -> Outcome:
    """A machine says that somebody has it."""
    known, at = heard.known, heard.arrival.received_at
    assert known is not None
    incident = working.incident(known.incident or 0)
    if incident is None:
        return Outcome(Disposition.UNMATCHED, None)
    change = acknowledge(
        incident, by=_author(working, heard), at=at, policy=working.desk.policy, assignable=False, channel="alert"
    )
    if change is not None:
        apply(working, change)
    return Outcome(Disposition.FOLDED, incident.id)


def _late(working: Working, heard: Heard) -> Outcome:
    del working
    return Outcome(Disposition.LATE, None if heard.known is None else heard.known.incident)


def _unmatched(working: Working, heard: Heard) -> Outcome:
    del working, heard
    return Outcome(Disposition.UNMATCHED, None)


def _ignored(working: Working, heard: Heard) -> Outcome:
    del working, heard
    return Outcome(Disposition.IGNORED, None)


_VERDICTS: dict[Verdict, Callable[[Working, Heard], Outcome]] = {
    Verdict.OPEN: _open,
    Verdict.OPEN_ENDED: _open_ended,
    Verdict.REFRESH: _refresh,
    Verdict.RESOLVE: _resolve,
    Verdict.REMEMBER: _remember,
    Verdict.ADVANCE: _advance,
    Verdict.REFIRE: _refire,
    Verdict.ACKNOWLEDGE: _acknowledge,
    Verdict.LATE: _late,
    Verdict.UNMATCHED: _unmatched,
    Verdict.IGNORED: _ignored,
}


# ---------------------------------------------------------------------- parts of them


def _author(working: Working, heard: Heard) -> Author:
    return working.desk.sources.get(heard.arrival.source, working.desk.machine)


def _open_record(
    working: Working, heard: Heard, *, ended_at: datetime | None = None, links: tuple[tuple[int, str], ...] = ()
) -> Incident:
    arrival, alert = heard.arrival, heard.alert
    values: Values = {"receipt": arrival.id, "text": alert.summary, "annotations": dict(alert.annotations)}
    if alert.starts_at is not None:
        values["starts_at"] = stamp(alert.starts_at)
    opening = Opening(
        facts_of_alert(alert, source=arrival.source, at=arrival.received_at),
        alert.title, _author(working, heard), values, hint=alert.severity_hint, url=alert.url,
        group_key=alert.group_key, firing=0 if ended_at is not None else 1, ended_at=ended_at, links=links,
    )  # fmt: skip
    return open_record(working, opening)


def _opened(working: Working, heard: Heard, incident: Incident) -> Outcome:
    if heard.name is not None:
        working.put_key(_fired(heard, incident.id, heard_before=_left_to(working, heard.known)))
    return Outcome(Disposition.OPENED, incident.id, spoke=True)


def _left_to(working: Working, known: FoldKey | None) -> int:
    """How many signals a key brings to a new record: those of no record yet.

    What an older record heard stays counted there, under a name that nothing folds by, for no group is called "".
    """
    if known is None or known.incident is None:
        return 0 if known is None else known.signals
    working.put_key(replace(known, key=f"alert::{working.ids.row()}:{known.key}", status="resolved", version=0))
    return 0


def _fired(heard: Heard, incident: int, *, heard_before: int) -> FoldKey:
    """The key while its episode fires."""
    known = heard.known
    assert heard.name is not None
    return FoldKey(
        heard.name, incident, heard.episode, "firing", heard.arrival.id, heard.digest,
        own_start=heard.alert.starts_at is not None, last_seen_at=heard.arrival.received_at,
        signals=heard_before + 1, version=0 if known is None else known.version,
    )  # fmt: skip


def _comes_back(working: Working, incident: Incident, alert: Alert, at: datetime) -> bool:
    """Whether a new episode returns its record to work: it is not over, or not for long."""
    if incident.is_open:
        return alert.reopens or incident.state != "restored"
    if not alert.reopens or incident.restored_at is None:
        return False
    return at - incident.restored_at <= working.desk.policy.limits.refire_within


def _back_to_work(working: Working, incident: Incident, heard: Heard) -> Incident:
    at, author, policy = heard.arrival.received_at, _author(working, heard), working.desk.policy
    if incident.state in ("restored", "resolved", "closed"):
        facts = facts_of(incident, at)
        try:
            change = reopen(
                incident, by=author, at=at, policy=policy, reason=heard.alert.title,
                promises=list(policy.promises(facts)),
            )  # fmt: skip
        except NoSuchMove:
            pass
        else:
            back = apply(working, change)
            if back.acknowledged_at is None:
                start_escalation(working, back, policy.path_for(facts), at)
            return working.incidents[back.id]
    values: Values = {"title": heard.alert.title, "episode": stamp(heard.episode), "receipt": heard.arrival.id}
    return apply(working, Change(incident, at, entries=[Entry(EntryKind.FOLDED, author.person, values, at)]))


def _stronger(hint: str, than: str | None) -> bool:
    return than is None or LEVELS.index(hint) < LEVELS.index(than)


def _raise(working: Working, incident: Incident, heard: Heard) -> None:
    """Judge again by the stronger hint; a machine raises a priority and never lowers one."""
    at, policy, alert = heard.arrival.received_at, working.desk.policy, heard.alert
    facts = facts_of_alert(alert, source=heard.arrival.source, at=at)
    assessment, _ = assess(facts, hint=alert.severity_hint, policy=policy)
    priority = more_urgent(incident.priority, str(assessment.value("priority")))
    raised = replace(incident, severity_hint=alert.severity_hint, severity=assessment.severity.level, priority=priority)
    values = {"priority": {"before": incident.priority, "after": priority}, "hint": alert.severity_hint}
    entry = Entry(EntryKind.CHANGED, _author(working, heard).person, values, at)
    told = facts_of(raised, at)
    moves = replan(working.live_targets(raised.id, "sla."), list(policy.promises(told)), policy)
    apply(working, Change(raised, at, entries=[entry], targets=moves, assessment=assessment))
    nobody_has_it = raised.acknowledged_at is None and not working.live_targets(raised.id, "escalation.")
    if priority != incident.priority and nobody_has_it:
        start_escalation(working, raised, policy.path_for(told), at)
