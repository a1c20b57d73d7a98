"""Writes log lines beside the work: a full pipe or a dead terminal costs lines, never a signal (fault 112)."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from typing import TextIO

MOST_LINES = 10_000
_AT_ONCE = 200
_FAREWELL_SECONDS = 2.0


class Writer:
    """A bounded queue and the thread that empties it onto ``stream``; where that is None, nothing is taken.

    The lock is held to put and to take lines, never while they are written.
    """

    def __init__(self, stream: TextIO | None, *, most_lines: int = MOST_LINES) -> None:
        self._stream, self._most = stream, most_lines
        self._lines: deque[str] = deque()
        self._changed = threading.Condition()
        self._writing = self._closing = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: str) -> None:
        """Take a line, or drop and count it when too many wait."""
        with self._changed:
            if self._closing or len(self._lines) >= self._most:
                self.dropped += 1
                return
            self._lines.append(line)
            self._changed.notify_all()

    def flush(self, seconds: float = _FAREWELL_SECONDS) -> bool:
        """Wait until all lines are out, at most ``seconds``; whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._writing, seconds)

    def close(self, seconds: float = _FAREWELL_SECONDS) -> None:
        """Write what waits, within ``seconds``, and end."""
        atexit.unregister(self.close)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _run(self) -> None:
        while lines := self._take():
            written = self._written("\n".join(lines) + "\n")
            with self._changed:
                self._writing = False
                self.dropped += 0 if written else len(lines)
                self._changed.notify_all()

    def _take(self) -> list[str]:
        """The next lines; none when the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
            self._writing = bool(self._lines)
            return [self._lines.popleft() for _ in range(min(len(self._lines), _AT_ONCE))]

    def _written(self, text: str) -> bool:
        """Whether somebody took it."""
        if self._stream is None:
            return False
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return False
        return True
