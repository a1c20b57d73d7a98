"""Two desks that write to each other: mail never causes mail without end."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any


def test_two_desks_wired_to_each_other_stop_at_once(
    new_desk: Callable[..., Any], port_of: Callable[[], int], mail_of: Callable[..., EmailMessage],
    waiting: Callable[..., Any],
) -> None:  # fmt: skip
    """Fault 34, A36, G8: one acknowledgement goes over, and nothing comes back."""
    there = port_of()
    one = new_desk(relay=f"smtp://127.0.0.1:{there}?tls=none", domain="one.example.com")
    two = new_desk(relay=f"smtp://127.0.0.1:{one.smtp}?tls=none", domain="two.example.com", smtp=there)
    one.start()
    two.start()
    one.mail(mail_of("support@two.example.com", To="support@one.example.com"))
    waiting(two.incidents, "the acknowledgement is over there")
    time.sleep(1)  # nothing must come: there is no event to wait for
    assert len(one.incidents()) == 1
    assert len(two.incidents()) == 1
    sent = [row for desk in (one, two) for row in desk.ctl("outbox", "list", "--all")["items"]]
    assert [row["kind"] for row in sent if row["state"] == "delivered"].count("acknowledgement") == 1
