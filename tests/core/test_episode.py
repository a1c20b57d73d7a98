"""Episodes: whatever order signals come in, the end is right. Rules 3 and 4 of B in docs/sources.md are the oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incidents.episode import FoldKey, Verdict, hear
from incidents.signal import Alert, AlertStatus

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIRING, RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED


def minutes(count: int) -> datetime:
    return NOON + timedelta(minutes=count)


@dataclass
class Key:
    """A key that hears signals, and the records that it led to: what the desk does, without a desk."""

    known: FoldKey | None = None
    records: int = 0
    verdicts: tuple[Verdict, ...] = ()

    def hear(self, alert: Alert, *, receipt: int, received_at: datetime) -> Verdict:
        verdict, episode = hear(self.known, alert, receipt=receipt, received_at=received_at, digest=b"")
        self.verdicts += (verdict,)
        if verdict in (Verdict.OPEN, Verdict.OPEN_ENDED):
            self.records += 1
        if verdict in (Verdict.OPEN, Verdict.REFIRE, Verdict.REFRESH):
            self._become(alert, "firing", self._record(), episode=episode, receipt=receipt, at=received_at)
        elif verdict is Verdict.OPEN_ENDED:
            assert self.known is not None
            self.known = replace(self.known, incident=self.records)
        elif verdict in (Verdict.RESOLVE, Verdict.REMEMBER):
            incident = None if self.known is None else self.known.incident
            self._become(alert, "resolved", incident, episode=episode, receipt=receipt, at=received_at)
        elif verdict is Verdict.ADVANCE:
            assert self.known is not None
            self.known = replace(self.known, episode=episode, receipt=receipt)
        elif verdict is Verdict.REPEAT:
            assert self.known is not None
            self.known = replace(self.known, receipt=max(receipt, self.known.receipt))
        return verdict

    def _record(self) -> int:
        return max(self.records, 1)

    def _become(
        self, alert: Alert, status: str, incident: int | None, *, episode: datetime, receipt: int, at: datetime
    ) -> None:
        self.known = FoldKey(
            "k", incident, episode, status, receipt, b"", own_start=alert.starts_at is not None, last_seen_at=at
        )


def alert(status: AlertStatus, start: int | None) -> Alert:
    return Alert(status, "k", "disk full", starts_at=None if start is None else minutes(start))


@given(st.lists(st.tuples(st.sampled_from([FIRING, RESOLVED]), st.integers(0, 3)), min_size=1, max_size=7), st.data())
def test_the_end_state_does_not_depend_on_the_order(said: list[tuple[AlertStatus, int]], data: st.DataObject) -> None:
    """With starts of its own, a key fires at the end if and only if its newest episode was never said to be over."""
    key = Key()
    for number, (status, start) in enumerate(data.draw(st.permutations(said))):
        key.hear(alert(status, start), receipt=number, received_at=minutes(60 + number))
    newest = max(start for _, start in said)
    over = (RESOLVED, newest) in said
    assert key.known is not None
    assert key.known.status == ("resolved" if over else "firing")
    assert key.known.episode == minutes(newest)


@given(st.permutations([(FIRING, 1), (RESOLVED, 2), (FIRING, 3), (RESOLVED, 4), (FIRING, 5)]))
def test_without_starts_the_newest_receipt_has_the_last_word(order: list[tuple[AlertStatus, int]]) -> None:
    """An older receipt never changes state, whichever worker was slow."""
    key = Key()
    for status, receipt in order:
        key.hear(alert(status, None), receipt=receipt, received_at=minutes(receipt))
    assert key.known is not None
    assert key.known.status == "firing"


def test_every_permutation_of_a_fire_and_its_end_opens_one_record() -> None:
    """Repeats and copies from a second sender change nothing."""
    said = [(FIRING, 0), (FIRING, 0), (RESOLVED, 0), (RESOLVED, 0)]
    for order in permutations(said):
        key = Key()
        for number, (status, start) in enumerate(order):
            key.hear(alert(status, start), receipt=number, received_at=minutes(number))
        assert key.records == 1
        assert key.known is not None
        assert key.known.status == "resolved"


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([], (FIRING, 0), Verdict.OPEN),
        ([], (RESOLVED, 0), Verdict.REMEMBER),
        ([], (AlertStatus.ACKNOWLEDGED, 0), Verdict.UNMATCHED),
        ([], (AlertStatus.IGNORED, 0), Verdict.IGNORED),
        ([(FIRING, 1)], (FIRING, 1), Verdict.REPEAT),
        ([(FIRING, 1)], (FIRING, 0), Verdict.LATE),
        ([(FIRING, 1)], (FIRING, 2), Verdict.REFIRE),
        ([(FIRING, 1)], (RESOLVED, 1), Verdict.RESOLVE),
        ([(FIRING, 1)], (RESOLVED, 0), Verdict.LATE),
        ([(FIRING, 1)], (AlertStatus.ACKNOWLEDGED, 1), Verdict.ACKNOWLEDGE),
        ([(FIRING, 1), (RESOLVED, 1)], (FIRING, 1), Verdict.LATE),
        ([(FIRING, 1), (RESOLVED, 1)], (FIRING, 2), Verdict.REFIRE),
        ([(FIRING, 1), (RESOLVED, 1)], (RESOLVED, 1), Verdict.REPEAT),
        ([(FIRING, 1), (RESOLVED, 1)], (AlertStatus.ACKNOWLEDGED, 1), Verdict.UNMATCHED),
        ([(FIRING, 1), (RESOLVED, 1)], (RESOLVED, 2), Verdict.ADVANCE),
        ([(RESOLVED, 1)], (FIRING, 1), Verdict.OPEN_ENDED),
        ([(RESOLVED, 1)], (FIRING, 2), Verdict.OPEN),
        ([(RESOLVED, 1)], (RESOLVED, 2), Verdict.REMEMBER),
    ],
)
def test_what_a_signal_means(
    before: list[tuple[AlertStatus, int]], now: tuple[AlertStatus, int], expected: Verdict
) -> None:
    """Fault 59 and rules 3 and 4: a resolve before its fire, a late fire, a new episode."""
    key = Key()
    for number, (status, start) in enumerate([*before, now]):
        last = key.hear(alert(status, start), receipt=number, received_at=minutes(10 + number))
    assert last is expected


def test_a_firing_described_anew_refreshes_its_record() -> None:
    """Changed annotations are no repeat."""
    known = FoldKey("k", 1, NOON, "firing", 1, b"old", own_start=True, last_seen_at=NOON)
    heard = hear(known, alert(FIRING, 0), receipt=2, received_at=minutes(5), digest=b"new")
    assert heard.verdict is Verdict.REFRESH
