"""A relay for one run: a real SMTP server that keeps what it was handed, and misbehaves now and then."""

from __future__ import annotations

import hashlib
import random
import threading
from email import message_from_bytes
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from ledger.house import free_port

#: How often it says 451, and how often it takes a mail and hangs up without a word (fault 77).
LATER, DROPPED = 0.02, 0.02


class Mail(NamedTuple):
    """A mail as it was handed over: the SHA-256 of its bytes, and whom it was for."""

    message_id: str
    digest: bytes
    recipient: str


class Sink:
    """A relay on loopback. ``trouble`` says whether it misbehaves; it may be turned off meanwhile."""

    def __init__(self, *, seed: int, trouble: bool = True) -> None:
        self.trouble = trouble
        self.later = self.dropped = 0
        self._mails: list[Mail] = []
        self._lock = threading.Lock()
        self._chance = random.Random(seed)
        self._server = Controller(self, hostname="127.0.0.1", port=free_port())
        self._server.start()
        self.port = int(self._server.port)

    def close(self) -> None:
        """Take no more."""
        self._server.stop()

    def mails(self) -> list[Mail]:
        """All that was handed over so far."""
        with self._lock:
            return list(self._mails)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802 - named by aiosmtpd
        """Take a mail, or not."""
        drawn = self._chance.random() if self.trouble else 1.0
        if drawn < LATER:
            self.later += 1
            return "451 4.3.0 come again"
        content: Any = envelope.content
        message_id = str(message_from_bytes(content)["Message-ID"]).strip(" <>\r\n")
        digest = hashlib.sha256(content).digest()
        with self._lock:
            self._mails += [Mail(message_id, digest, str(recipient)) for recipient in envelope.rcpt_tos]
        if drawn < LATER + DROPPED:
            self.dropped += 1
            assert server.transport is not None
            server.transport.close()
        return "250 2.0.0 taken"
