"""The watchdog's food: the service manager hears that we live only while loop and committer both move."""

from __future__ import annotations

import time
from collections.abc import Callable

from console.health import Health
from daemon.logs import get_log
from daemon.notify import Manager

#: How often is looked, where no watchdog asks for more, in seconds.
_LOOK_SECONDS = 5.0
#: How long the committer may be silent, where no watchdog says: what a store may take to fail, in seconds.
_SILENCE_SECONDS = 30.0

log = get_log("daemon")


class Watch:
    """Looks again and again; that it is called at all proves that the loop moves (fault 104).

    ``alive_at`` gives the committer's heartbeat, ``clock`` the time now, both monotonic.
    """

    def __init__(
        self, manager: Manager, *, alive_at: Callable[[], float], health: Callable[[], Health],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._manager, self._alive_at, self._health, self._clock = manager, alive_at, health, clock
        self._silence = _SILENCE_SECONDS if manager.watchdog is None else manager.watchdog / 2
        self._told = ""
        self._hung = False

    async def look(self) -> float:
        """Tell that all moves, or nothing; how things stand, when that changed; the seconds until the next look."""
        silent = self._clock() - self._alive_at()
        hung = silent > self._silence
        if hung and not self._hung:
            log.error("committer.hangs", seconds=round(silent, 1))
        self._hung = hung
        if not hung:
            self._manager.alive()
        self._say(hung=hung)
        return _LOOK_SECONDS if self._manager.watchdog is None else min(_LOOK_SECONDS, self._manager.watchdog / 4)

    def _say(self, *, hung: bool) -> None:
        reasons = [*self._health().reasons, *(["committer_hangs"] if hung else [])]
        text = f"Turns senders away for now: {', '.join(reasons)}" if reasons else "Takes mail and alerts"
        if text != self._told:
            self._told = text
            self._manager.status(text)
