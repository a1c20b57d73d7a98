"""Several daemons on one database: each says that it lives, and takes over from those that fell silent (fault 100)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from store.claims import load_owners, release
from store.engine import Store
from store.nodes import beat, load_beats, node_of

BEAT_EVERY = timedelta(seconds=5)
#: Without a beat for so long a node counts as dead and its leases end, in seconds.
SILENCE = 15.0


class Nodes:
    """This node, and the others as it sees them.

    Each beat is by its node's own clock, so none is compared with ours: silent is whose beat has not changed for
    `SILENCE` since we looked first. ``clock`` is monotonic.
    """

    def __init__(self, node: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._clock = node, clock
        self._seen: dict[str, tuple[int, float]] = {}

    def round(self, store: Store, now: datetime) -> list[str]:
        """Say that this node is alive, and put back what silent ones had; the owners that had it."""
        with store.writing() as connection:
            beat(connection, self._node, now)
            silent = self._silent(load_beats(connection))
            owners = sorted(owner for owner in load_owners(connection, now) if node_of(owner) in silent)
            for owner in owners:
                release(connection, owner, now)
        return owners

    def _silent(self, beats: Mapping[str, int]) -> set[str]:
        at = self._clock()
        for name, when in beats.items():
            if self._seen.get(name, (None, 0.0))[0] != when:
                self._seen[name] = (when, at)
        return {name for name in beats if name != self._node and at - self._seen[name][1] >= SILENCE}
