"""The mail door for the host's own mail server: LMTP on a Unix socket (see rfc2033)."""

from __future__ import annotations

from ingest.listeners.smtp import Session


class LmtpSession(Session):
    """The same conversation, but for its greeting and one reply a recipient."""

    greeting = "LHLO"
    protocol = "LMTP"
    source = "lmtp"

    async def smtp_LHLO(self, hostname: str | None) -> None:  # noqa: N802 - named after the command
        """What this door can do."""
        await super().smtp_EHLO(hostname)

    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: ARG002, N802 - named after the command, refused whatever it says
        """Not a command of LMTP."""
        await self.push("500 5.5.1 this is LMTP, say LHLO")

    async def smtp_HELO(self, hostname: str | None) -> None:  # noqa: N802 - named after the command
        """Not a command of LMTP."""
        await self.smtp_EHLO(hostname)

    async def _answer(self, reply: str) -> None:
        """The reply to a mail, once for every recipient that was taken, in their order."""
        assert self.envelope is not None
        for _ in self.envelope.rcpt_tos:
            await super()._answer(reply)
