"""What the service manager is told over its socket, as sd_notify(3) has it; without one nobody is told.

The protocol is a datagram of lines to a Unix socket, so the standard library is enough: no package is needed for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass

_MICRO = 1e-6
_LONGEST_STATUS = 200


@dataclass(frozen=True, slots=True)
class Manager:
    """The service manager. ``address`` is its socket; ``watchdog`` after how many seconds of silence it restarts us."""

    address: str | None = None
    watchdog: float | None = None

    @classmethod
    def found(cls, environ: MutableMapping[str, str]) -> Manager:
        """The one that the environment names. Its names are taken out, so that no child speaks for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        micros, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        if not address.startswith(("/", "@")):
            return cls()
        ours = pid in {"", str(os.getpid())} and micros.isdecimal() and int(micros) > 0
        return cls(address, int(micros) * _MICRO if ours else None)

    def ready(self) -> None:
        """The daemon takes work: what is ordered after it may start."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())[:_LONGEST_STATUS]}")

    def alive(self) -> None:
        """Everything moves; said more often than every ``watchdog`` seconds."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon finishes what it has begun."""
        self._send("STOPPING=1")

    def _send(self, line: str) -> None:
        """Best effort, and never waiting: a manager that is away or slow holds up no signal."""
        if self.address is None:
            return
        target = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # noqa: FBT003 - the standard library's signature
            sender.sendto(line.encode(), target)
