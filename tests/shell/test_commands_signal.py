"""`triagectl signal`: what came in, what it was understood as, and what is done with what could not be worked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import utc_now
from daemon.commands.signal.reasons import SENTENCES
from desk.receive import Receipt
from desk.thread import ThreadReason
from incidents.episode import Verdict

KEYS = {"id", "receipt", "source", "received_at", "key", "status", "state", "disposition", "incident", "title"}
MAIL = b"""From: "Kim Example" <kim@example.org>
To: support@example.com
Subject: =?utf-8?q?Dr=C3=BCcker?=
Message-ID: <1@mail.example.org>
Date: Mon, 23 Nov 2026 12:00:00 +0000
Content-Type: text/plain; charset=utf-8

It is odd.
"""


@pytest.fixture
def quarantined(busy_shell: Any) -> Any:
    """A payload that can't be read: receipt 3, with its record INC-1004."""
    busy_shell.keep(Receipt("prometheus", "alertmanager", utc_now(), {"type": "text/plain"}, b"nonsense", None))
    busy_shell.work()
    return busy_shell


def test_signals_are_listed_with_the_newest_first(busy_shell: Any) -> None:
    items = busy_shell.json("signal", "list")["items"]
    assert [one["incident"] for one in items] == ["INC-1003", "INC-1002", "INC-1001"]
    for one in items:
        assert one.keys() >= KEYS
        assert (one["state"], one["disposition"], one["name"]) == ("worked", "opened", str(one["id"]))
    assert items[0]["status"] == "mail"
    assert items[1]["status"] == "firing"


def test_what_is_in_quarantine_has_no_id_and_is_named_by_its_receipt(quarantined: Any) -> None:
    (one,) = quarantined.json("signal", "list", "--state", "quarantined")["items"]
    assert (one["id"], one["name"], one["receipt"], one["state"]) == (None, "receipt:3", 3, "quarantined")
    assert one["error"]
    assert "receipt:3" in quarantined.ok("signal", "list", "--state", "quarantined")


def test_signals_of_one_record_or_one_disposition(busy_shell: Any, alert: Any) -> None:
    busy_shell.post(alert("DiskFull", "resolved"))
    busy_shell.work()
    of_record = busy_shell.json("signal", "list", "--incident", "INC-1001")["items"]
    assert [one["disposition"] for one in of_record] == ["folded", "opened"]
    assert len(busy_shell.json("signal", "list", "--disposition", "folded")["items"]) == 1


def test_empty_lists_say_what_to_do_next(shell: Any) -> None:
    assert "post an alert" in shell.ok("signal", "list")
    assert shell.ok("signal", "list", "--state", "quarantined") == "The quarantine is empty.\n"
    assert "shows all" in shell.ok("signal", "list", "--disposition", "spam")


def test_a_signal_is_shown_with_its_receipt_and_a_receipt_with_its_signals(busy_shell: Any) -> None:
    receipt = busy_shell.json("signal", "show", "receipt:1")
    assert receipt["counts"] == {"opened": 2}
    first, second = receipt["signals"]
    assert (first["incident"], second["incident"]) == ("INC-1001", "INC-1002")
    shown = busy_shell.json("signal", "show", str(first["id"]))
    assert shown["from"]["id"] == 1
    assert "DiskFull" in busy_shell.ok("signal", "show", str(first["id"]))
    assert "2 opened" in busy_shell.ok("signal", "show", "receipt:1")


def test_why_tells_what_became_of_a_signal(quarantined: Any, alert: Any) -> None:
    assert "was opened INC-1003: it belongs to no known record." in quarantined.ok("signal", "why", "receipt:2")
    assert "Receipt 3 is quarantined" in quarantined.ok("signal", "why", "receipt:3")
    quarantined.post(alert("DiskFull", severity="critical", instance="db1"))
    quarantined.work()
    assert quarantined.ok("signal", "why", "receipt:4") == "Receipt 4 only told again what was known: 1 repeated.\n"
    document = quarantined.json("signal", "why", "receipt:1")
    assert document["signals"][0]["because"] == "the thing was not known, or had ended before"


def test_every_reason_of_the_vocabulary_has_a_sentence() -> None:
    silent = {Verdict.REPEAT}  # is counted, and leaves no signal
    assert {*Verdict, *ThreadReason} - silent <= SENTENCES.keys()


@pytest.mark.parametrize(("words", "said"), [
    (["show", "99"], "There is no signal 99"),
    (["show", "receipt:99"], "There is no receipt 99"),
    (["show", "first"], "names no signal"),
    (["list", "--state", "lost"], "is no state of a receipt"),
    (["list", "--disposition", "lost"], "is no disposition"),
    (["list", "--incident", "INC-9"], "There is no record"),
    (["replay", "receipt:1"], "is worked, not in quarantine"),
    (["discard", "receipt:1", "--reason", "x"], "is worked, not in quarantine"),
    (["parse", "--format", "xml", __file__], "There is no format"),
    (["parse", "/nowhere/at-all"], "cannot be read"),
])  # fmt: skip
def test_a_refusal_is_one_sentence(busy_shell: Any, words: list[str], said: str) -> None:
    assert said in busy_shell.refused("signal", *words)


def test_a_signal_that_was_worked_is_not_replayed(busy_shell: Any) -> None:
    number = str(busy_shell.json("signal", "list")["items"][0]["id"])
    assert "was worked" in busy_shell.refused("signal", "replay", number)


def test_a_replayed_receipt_waits_and_is_worked_again(quarantined: Any) -> None:
    assert "waits to be worked again" in quarantined.ok("signal", "replay", "receipt:3")
    assert quarantined.json("signal", "show", "receipt:3")["state"] == "waiting"
    quarantined.work()
    assert quarantined.json("signal", "show", "receipt:3")["state"] == "quarantined"
    assert quarantined.json("signal", "reconcile")["differences"] == []


def test_a_discarded_receipt_is_noted_on_its_record_in_the_same_commit(quarantined: Any) -> None:
    said = quarantined.ok("signal", "discard", "receipt:3", "--reason", "a scanner")
    assert said == "Receipt 3 discarded, noted on INC-1004.\n"
    assert "Receipt 3 was discarded: a scanner" in quarantined.ok("incident", "timeline", "INC-1004")
    assert "not in quarantine" in quarantined.refused("signal", "discard", "receipt:3", "--reason", "again")
    (one,) = quarantined.json("signal", "list", "--disposition", "discarded")["items"]
    assert one["name"] == "receipt:3"
    assert quarantined.json("signal", "reconcile")["differences"] == []


def test_spam_is_counted_as_spam(quarantined: Any) -> None:
    shown = quarantined.json("signal", "discard", "receipt:3", "--reason", "a scanner", "--spam")
    assert (shown["state"], shown["counts"]) == ("discarded", {"spam": 1})
    assert quarantined.json("signal", "reconcile")["items"]["spam"] == 1


def test_reconcile_tells_differences_and_exits_1(busy_shell: Any) -> None:
    assert "No difference" in busy_shell.ok("signal", "reconcile")
    with busy_shell.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM signals WHERE receipt = 2")
    result = busy_shell.ctl("signal", "reconcile")
    assert result.exit_code == 1
    assert "receipt:2" in result.stdout
    document = json.loads(busy_shell.ctl("signal", "reconcile", "--json").stdout)
    assert document["differences"][0]["name"] == "receipt:2"


def test_parse_shows_what_is_understood_of_a_mail(tmp_path: Path, shell: Any) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(MAIL)
    (line,) = shell.ok("signal", "parse", "--format", "mail", str(file)).splitlines()
    mail = json.loads(line)
    assert mail["sender"] == {"address": "kim@example.org", "name": "Kim Example"}
    assert (mail["subject"], mail["message_id"]) == ("Drücker", "1@mail.example.org")
    assert mail["text"].strip() == mail["new_text"].strip() == "It is odd."
    assert (mail["automatic"], mail["bounce"], mail["attachments"]) == (None, None, [])
    assert {"recipients", "sent_at", "in_reply_to", "references", "quoted", "html", "notes"} <= mail.keys()
    assert shell.json("signal", "list")["items"] == []


def test_parse_gives_one_line_a_file_and_tells_what_it_cannot_read(tmp_path: Path, shell: Any, alert: Any) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps({"version": "4", "alerts": [alert("DiskFull", severity="critical")]}))
    bad.write_text("nonsense")
    result = shell.ctl("signal", "parse", "--format", "alertmanager", str(good), str(bad))
    assert result.exit_code == 1
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    (one,) = first["alerts"]
    assert {"status", "key", "title", "summary", "severity_hint", "resource", "service", "labels", "url", "starts_at",
            "ends_at"} <= one.keys()  # fmt: skip
    assert (one["status"], one["severity_hint"], first["refused"]) == ("firing", "sev1", [])
    assert second["error"]


def test_parse_needs_no_configuration(shell: Any) -> None:
    shell.config.unlink()
    (line,) = shell.ok("signal", "parse", "-", stdin=MAIL).splitlines()
    assert json.loads(line)["sender"]["address"] == "kim@example.org"
