"""`triagectl outbox`: what is to be told, seen and steered."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def told(shell: Any) -> int:
    """A reply that waits; its number."""
    shell.ok("incident", "open", "Checkout is slow", "--requester", "kim@example.org")
    shell.ok("incident", "reply", "INC-1001", "We look.")
    (one,) = (one for one in shell.json("outbox", "list")["items"] if one["kind"] == "reply")
    return int(one["id"])


def _change(shell: Any, statement: str) -> None:
    with shell.store.writing() as connection:
        connection.exec_driver_sql(statement)


def test_notifications_are_listed_and_shown(shell: Any, told: int) -> None:
    shown = shell.json("outbox", "show", str(told))
    assert (shown["subject"], shown["kind"], shown["state"]) == ("INC-1001", "reply", "waiting")
    assert shown["recipient"]["address"] == "kim@example.org"
    assert (shown["deliveries"], shown["text"]) == ([], None)
    assert "not written yet" in shell.ok("outbox", "show", str(told))
    assert "kim@example.org" in shell.ok("outbox", "list", "--state", "waiting")
    assert shell.ok("outbox", "list", "--state", "dead") == "Nothing fits.\n"


def test_an_empty_outbox_says_so(shell: Any) -> None:
    assert shell.ok("outbox", "list") == "Nobody was told anything yet.\n"


def test_the_text_of_a_composed_mail_and_every_attempt_are_shown(shell: Any, told: int) -> None:
    mail = b"Subject: =?utf-8?q?Ihre_St=C3=B6rung?=\r\nContent-Type: text/plain\r\n\r\nWe look.\r\nSoon.\r\n"
    _change(shell, f"UPDATE outbox SET state = 'ready', bytes = X'{mail.hex()}' WHERE id = {told}")
    _change(shell, f"INSERT INTO deliveries VALUES (1, {told}, 0, 'delayed', '451', 'busy')")
    shown = shell.json("outbox", "show", str(told))
    assert shown["text"] == "Subject: Ihre Störung\n\nWe look.\nSoon."
    assert [(one["outcome"], one["code"], one["text"]) for one in shown["deliveries"]] == [("delayed", "451", "busy")]
    assert "We look.\nSoon." in shell.ok("outbox", "show", str(told))


def test_a_dead_notification_is_tried_again(shell: Any, told: int) -> None:
    _change(shell, f"UPDATE outbox SET state = 'dead', next_at = NULL, attempts = 5 WHERE id = {told}")
    assert "goes to kim@example.org" in shell.ok("outbox", "retry", str(told))
    shown = shell.json("outbox", "show", str(told))
    assert (shown["state"], shown["attempts"]) == ("waiting", 0)


def test_a_discarded_notification_is_noted_on_its_record(shell: Any, told: int) -> None:
    said = shell.ok("outbox", "discard", str(told), "--reason", "told by phone")
    assert said == f"Notification {told} discarded; kim@example.org is not told.\n"
    assert shell.json("outbox", "show", str(told))["state"] == "dead"
    assert "was discarded: told by phone" in shell.ok("incident", "timeline", "INC-1001")


def test_what_is_delivered_is_left_alone(shell: Any, told: int) -> None:
    _change(shell, f"UPDATE outbox SET state = 'delivered', next_at = NULL WHERE id = {told}")
    entries = len(shell.json("incident", "timeline", "INC-1001")["items"])
    assert "is delivered" in shell.refused("outbox", "retry", str(told))
    assert "is delivered" in shell.refused("outbox", "discard", str(told), "--reason", "x")
    assert len(shell.json("incident", "timeline", "INC-1001")["items"]) == entries


def test_a_notification_that_is_not_there(shell: Any) -> None:
    assert "There is no notification 7" in shell.refused("outbox", "show", "7")
    assert "is no state of a notification" in shell.refused("outbox", "list", "--state", "lost")
