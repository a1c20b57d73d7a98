"""One line a stage for each signal's journey: kept at a door, worked, composed, handed over; always by the same ids.

In a storm a line for each would drown the journal, so beyond a number a second they are counted in one line.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from daemon.logs import get_log
from desk.receive import Kept, Receipt
from desk.working import SignalRow
from incidents.signal import Disposition
from store.outbox import Verdict

#: Lines a second of one process; what an operator can still page through.
MOST_LINES = 100

log = get_log("journey")


class Journeys:
    """The journeys that one process has a part in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second, self._lines = 0, 0
        self._more: Counter[str] = Counter()

    def kept(self, receipt: Receipt, kept: Kept) -> None:
        """A door took something in."""
        if self._may_tell("receipt.kept"):
            log.info(
                "receipt.kept", receipt=kept.id, source=receipt.source, format=receipt.format,
                size_bytes=len(receipt.body), repeated=kept.repeated,
            )  # fmt: skip

    def worked(self, signals: Iterable[SignalRow]) -> None:
        """A turn decided about signals; what only repeats has no line."""
        for signal in signals:
            about = "incident" if signal.disposition in (Disposition.OPENED, Disposition.FOLDED) else "signal"
            event = f"{about}.{signal.disposition}"
            if self._may_tell(event):
                log.info(
                    event, receipt=signal.receipt, signal=signal.id, incident=signal.incident, source=signal.source,
                    reason=None if signal.reason is None else str(signal.reason),
                )  # fmt: skip

    def told(self, verdicts: Iterable[Verdict]) -> None:
        """Notifications went a step further: composed, handed over, delayed, given up."""
        for verdict in verdicts:
            out = verdict.outgoing
            event = f"outbox.{verdict.state}"
            if self._may_tell(event):
                log.info(
                    event, outbox=out.id, incident=out.subject, kind=out.kind, attempts=verdict.attempts,
                    reason=verdict.reason,
                )  # fmt: skip

    def _may_tell(self, event: str) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._lines = second, 0
            if self._more:
                log.info("journey.many", events=dict(self._more))
                self._more.clear()
        self._lines += 1
        if self._lines > MOST_LINES:
            self._more[event] += 1
            return False
        return True
