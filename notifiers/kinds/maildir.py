"""A folder as a relay, for trying the desk out: every mail is a file that any mail client can open."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, unquote

from notifiers.errors import BadRelay
from notifiers.spec import Handed, Outcome, Parcel, RelayUnreachable


class MaildirRelay:
    """Puts mails into ``new``, each whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._host = socket.gethostname().replace("/", "_").replace(":", "_")

    async def hand_over(self, parcels: Sequence[Parcel]) -> Sequence[Handed | None]:
        """Write them all, then make the folder durable, then say so."""
        try:
            return await asyncio.to_thread(self._write_all, parcels)
        except OSError as cause:
            raise RelayUnreachable(f"The mail folder {self._folder} takes no mail: {cause.strerror}.") from cause

    def wind_down(self) -> None:
        """Nothing to do: files are written faster than anybody stops."""

    def _write_all(self, parcels: Sequence[Parcel]) -> list[Handed | None]:
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        results: list[Handed | None] = [
            Handed(Outcome.DELIVERED, None, f"written as {self._write(parcel.body)}") for parcel in parcels
        ]
        _make_durable(self._folder / "new")
        return results

    def _write(self, body: bytes) -> str:
        name = f"{int(time.time())}.{os.getpid()}_{secrets.token_hex(6)}.{self._host}"
        fresh = self._folder / "tmp" / name
        with fresh.open("xb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._folder / "new" / name)
        return name


def _make_durable(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_relay(url: SplitResult, *, sender: str, domain: str) -> MaildirRelay:  # noqa: ARG001 - every kind is given both
    """The folder of ``maildir:/path``; it is made with the first mail."""
    path = Path(unquote(url.path))
    if url.netloc or not path.is_absolute():
        raise BadRelay("relay.url with maildir takes an absolute path: maildir:/var/lib/triaged/mail.")
    return MaildirRelay(path)
