"""Episodes: what an alert says about a thing that the desk may know already, whatever order signals come in.

One fold key is one thing at one sender. An episode is one firing of it, named by its start. The rules are those of
``docs/sources.md``, B3 and B4: a lower start or an older receipt never changes state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from incidents.signal import Alert, AlertStatus

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FoldKey:
    """What a later signal is recognised by. ``incident`` is None after a resolve that came before its fire.

    ``status`` is ``firing`` or ``resolved`` for alerts, ``mail`` for Message-IDs. ``receipt`` is the newest that spoke
    of the present state; ``own_start`` says that the sender names episodes itself; ``digest`` is of what a firing may
    change. ``version`` guards every save.
    """

    key: str
    incident: int | None
    episode: datetime
    status: str
    receipt: int
    digest: bytes
    own_start: bool
    last_seen_at: datetime
    signals: int = 1
    ended_at: datetime | None = None
    version: int = 0


class Verdict(StrEnum):
    """What a signal means for its key."""

    OPEN = "open"  # a thing not known, or known only as ended before this episode
    OPEN_ENDED = "open_ended"  # the fire of an episode whose end came first
    REPEAT = "repeat"  # says again what is known
    REFRESH = "refresh"  # the same episode, described anew
    RESOLVE = "resolve"  # the episode is over
    REMEMBER = "remember"  # the end of an episode never seen
    ADVANCE = "advance"  # the end of a newer episode that was never seen to begin, of a thing that has ended
    REFIRE = "refire"  # a new episode of a known thing
    ACKNOWLEDGE = "acknowledge"
    LATE = "late"  # overtaken by what is known
    UNMATCHED = "unmatched"  # speaks of nothing that is known
    IGNORED = "ignored"


class Heard(NamedTuple):
    """A verdict, and the instant that names the episode it is about."""

    verdict: Verdict
    episode: datetime


def hear(known: FoldKey | None, alert: Alert, *, receipt: int, received_at: datetime, digest: bytes) -> Heard:
    """What ``alert`` means, given what is known of its key."""
    if alert.status is AlertStatus.IGNORED:
        return Heard(Verdict.IGNORED, received_at)
    if known is None:
        return _hear_unknown(alert, received_at)
    episode = alert.starts_at or _name_episode(known, alert, received_at)
    if episode < known.episode or (alert.starts_at is None and receipt < known.receipt):
        late_fire = alert.status is AlertStatus.FIRING and known.incident is None and alert.starts_at is None
        return Heard(Verdict.OPEN_ENDED if late_fire else Verdict.LATE, episode)
    if alert.status is AlertStatus.FIRING:
        return Heard(_hear_firing(known, episode, receipt=receipt, digest=digest), episode)
    if alert.status is AlertStatus.RESOLVED:
        return Heard(_hear_resolved(known, episode), episode)
    return Heard(Verdict.ACKNOWLEDGE if known.status == "firing" else Verdict.UNMATCHED, episode)


def _name_episode(known: FoldKey, alert: Alert, received_at: datetime) -> datetime:
    """The episode of a signal whose sender names none: the current one while it fires, else a new one."""
    if alert.status is AlertStatus.FIRING and known.status == "resolved":
        return max(received_at, known.episode + _TICK)
    return known.episode


def _hear_unknown(alert: Alert, received_at: datetime) -> Heard:
    verdicts = {AlertStatus.FIRING: Verdict.OPEN, AlertStatus.RESOLVED: Verdict.REMEMBER}
    return Heard(verdicts.get(alert.status, Verdict.UNMATCHED), alert.starts_at or received_at)


def _hear_firing(known: FoldKey, episode: datetime, *, receipt: int, digest: bytes) -> Verdict:
    if episode > known.episode:
        return Verdict.OPEN if known.incident is None else Verdict.REFIRE
    if known.status == "resolved":
        return Verdict.OPEN_ENDED if known.incident is None else Verdict.LATE
    return Verdict.REPEAT if digest == known.digest or receipt < known.receipt else Verdict.REFRESH


def _hear_resolved(known: FoldKey, episode: datetime) -> Verdict:
    if known.incident is None:
        return Verdict.REMEMBER if episode > known.episode else Verdict.REPEAT
    if known.status == "firing":
        return Verdict.RESOLVE
    return Verdict.ADVANCE if episode > known.episode else Verdict.REPEAT
