"""A store that takes nothing for a while: senders are told to come again, and it goes on by itself."""

from __future__ import annotations

import re
import smtplib
import sqlite3
import urllib.error
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest


def test_a_database_that_a_stranger_holds_costs_senders_a_retry_and_nothing_else(
    desk: Any, mail_of: Callable[..., Any], waiting: Callable[..., Any]
) -> None:
    """Faults 20 and 91: 451 and 503, then 421 before anybody has spoken; counted, and over as soon as it is over."""
    path = desk.folder / "state" / "triaged.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(smtplib.SMTPDataError) as refused:
            desk.mail(mail_of(subject="Held"))
        assert refused.value.smtp_code == 451
        waiting(lambda: desk.get("/readyz")[0] == 503, "it is not ready")
        with pytest.raises(urllib.error.HTTPError) as unavailable:
            desk.post("prometheus", {"version": "4", "groupKey": "{}", "alerts": []})
        with unavailable.value as answer:
            assert (answer.code, "Retry-After" in answer.headers) == (503, True)
        with pytest.raises(smtplib.SMTPConnectError) as closed:
            smtplib.SMTP("127.0.0.1", desk.smtp, timeout=10)
        assert closed.value.smtp_code == 421
        assert re.search(r'^triaged_db_error_total{kind="busy"} [1-9]', desk.get("/metrics")[1], re.MULTILINE)
        stranger.execute("ROLLBACK")
    waiting(desk.ready, "it is ready again")
    desk.mail(mail_of(subject="Held"))
    waiting(lambda: [one["title"] for one in desk.incidents()] == ["Held"], "the mail is a record, once")
