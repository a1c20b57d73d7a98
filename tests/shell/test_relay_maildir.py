"""A folder as a relay."""

from __future__ import annotations

import asyncio
import mailbox
from pathlib import Path

import pytest

from notifiers.registry import open_relay
from notifiers.spec import Outcome, Parcel, RelayUnreachable


def test_mails_are_read_back_as_they_were(tmp_path: Path) -> None:
    relay = open_relay(f"maildir:{tmp_path}/a%20mail", sender="desk@example.com", domain="example.com")
    bodies = [f"Subject: {n}\r\n\r\nwords {n}\r\n".encode() for n in range(20)]
    results = asyncio.run(relay.hand_over([Parcel("ana@example.com", body) for body in bodies]))
    assert [handed.outcome for handed in results if handed is not None] == [Outcome.DELIVERED] * 20
    folder = mailbox.Maildir(str(tmp_path / "a mail"), create=False)
    assert sorted(message["Subject"] for message in folder) == sorted(map(str, range(20)))
    assert sorted(path.read_bytes() for path in (tmp_path / "a mail" / "new").iterdir()) == sorted(bodies)
    assert not list((tmp_path / "a mail" / "tmp").iterdir())


def test_a_folder_that_cannot_be_is_a_relay_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    relay = open_relay(f"maildir:{tmp_path}/file/mail", sender="desk@example.com", domain="example.com")
    with pytest.raises(RelayUnreachable, match="takes no mail"):
        asyncio.run(relay.hand_over([Parcel("ana@example.com", b"x")]))
