"""Where a turn's processor time goes, by stage: what `make bench` prints and the metrics count."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Seconds of this thread's processor time by stage name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count what runs inside under ``name``."""
        begun = time.thread_time()
        try:
            yield
        finally:
            self.seconds[name] += time.thread_time() - begun

    @contextmanager
    def rest(self, name: str) -> Iterator[None]:
        """Count under ``name`` what runs inside and is counted under no other name."""
        counted, begun = sum(self.seconds.values()), time.thread_time()
        try:
            yield
        finally:
            spent, elsewhere = time.thread_time() - begun, sum(self.seconds.values()) - counted
            self.seconds[name] += spent - elsewhere

    def drain(self) -> dict[str, float]:
        """What was counted since the last drain."""
        drained = dict(self.seconds)
        self.seconds.clear()
        return drained
