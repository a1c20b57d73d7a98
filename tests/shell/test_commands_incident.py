"""`triagectl incident`: what an agent reads and does at the shell."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

KEYS = {
    "ref", "kind", "type", "title", "state", "priority", "severity", "impact", "urgency", "category", "service",
    "team", "assignee", "source", "requester", "opened_at", "acknowledged_at", "restored_at", "resolved_at",
    "closed_at", "updated_at", "due_at", "signals", "labels",
}  # fmt: skip


def test_the_queue_is_a_table_with_the_next_clock_first(busy_shell: Any) -> None:
    lines = busy_shell.ok("incident", "list").splitlines()
    assert lines[0].split() == ["ref", "priority", "severity", "title", "state", "team", "assignee", "due"]
    assert "DiskFull" in lines[1]
    assert len(lines) == 4
    assert all(line == line.rstrip() for line in lines)
    assert "min to respond" in lines[1]


def test_a_long_title_is_never_cut_off(shell: Any) -> None:
    title = "The disk of the database is so full that " + "nothing fits " * 10
    shell.ok("incident", "open", title)
    assert title.strip() in shell.ok("incident", "list")


def test_an_empty_queue_says_what_to_do_next(shell: Any) -> None:
    assert shell.ok("incident", "list") == (
        "Nothing is open. `triagectl incident list --state any` shows what is over.\n"
    )
    assert "--state any" in shell.ok("incident", "list", "--team", "payments")


@pytest.mark.parametrize("before", [True, False])
def test_json_is_asked_for_before_or_after_the_command(busy_shell: Any, *, before: bool) -> None:
    words = ["--json", "incident", "list"] if before else ["incident", "list", "--json"]
    document = json.loads(busy_shell.ok(*words))
    assert set(document) == {"items", "next"}
    assert len(document["items"]) == 3


def test_an_incident_has_the_keys_of_the_contract(busy_shell: Any) -> None:
    """In lists and alone; instants have a zone, labels are an object."""
    (first, *_) = busy_shell.json("incident", "list")["items"]
    shown = busy_shell.json("incident", "show", first["ref"])
    for document in (first, shown):
        assert set(document) >= KEYS
        assert set(document["severity"]) == {"level", "probabilities", "needs_person"}
        assert datetime.fromisoformat(document["opened_at"]).tzinfo is not None
        assert document["labels"]["alertname"] == "DiskFull"
        assert document["signals"] == 1
    assert {target["name"]: target["length_seconds"] for target in shown["targets"]}["sla.respond"] > 0


def test_the_requester_is_a_person_with_an_address(busy_shell: Any) -> None:
    mail = next(one for one in busy_shell.json("incident", "list")["items"] if one["source"] == "smtp")
    assert mail["requester"] == {"name": "Kim Example", "address": "kim@example.org"}
    assert mail["assignee"] is None


def test_cursors_lead_through_the_list_and_all_follows_them(busy_shell: Any) -> None:
    refs, cursor = [], None
    for _ in range(3):
        page = busy_shell.json("incident", "list", "--limit", "1", *(["--cursor", cursor] if cursor else []))
        refs += [one["ref"] for one in page["items"]]
        cursor = page["next"]
    assert cursor is None
    everything = busy_shell.json("incident", "list", "--limit", "1", "--all")
    assert [one["ref"] for one in everything["items"]] == refs
    assert everything["next"] is None


def test_a_list_that_goes_on_says_so_beside_it(busy_shell: Any) -> None:
    result = busy_shell.ctl("incident", "list", "--limit", "1")
    assert result.exit_code == 0
    assert result.stderr.startswith("There are more: --cursor ")


@pytest.mark.parametrize(("words", "said"), [
    (["list", "--state", "stale"], "is no state"),
    (["list", "--priority", "P9"], "is no priority"),
    (["list", "--cursor", "zzz"], "leave it out"),
    (["show", "INC-9"], "There is no record INC-9"),
    (["show", "nine"], "is no reference"),
    (["why", "INC-9"], "There is no record"),
    (["timeline", "INC-9"], "There is no record"),
    (["ack", "INC-9"], "There is no record"),
    (["wait", "INC-1001"], "Say either"),
    (["wait", "INC-1001", "--on", "nobody"], "nobody to wait on"),
    (["assign", "INC-1001", "zoe"], "has the handle"),
    (["assign", "INC-1001", "--team", "zoo"], "There is no team"),
    (["set", "INC-1001", "priority", "P1", "--why", "x"], "at least 15 characters"),
    (["set", "INC-1001", "mood", "good", "--why", "because of all that"], "can't be set"),
    (["reply", "INC-1001", "hello"], "nobody to reply to"),
    (["note", "INC-1001", " "], "needs words"),
    (["merge", "INC-1001", "--into", "INC-1001", "--reason", "x"], "into itself"),
    (["resolve", "INC-1003", "--fix", "x"], "needs"),
    (["resolve", "INC-1003", "--code", "So So"], "is no resolution code"),
    (["reopen", "INC-1001", "--reason", "x"], "nothing to reopen"),
    (["note", "INC-1001", "x", "--as", "zoe"], "has the handle"),
])  # fmt: skip
def test_a_refusal_is_one_sentence(busy_shell: Any, words: list[str], said: str) -> None:
    assert said in busy_shell.refused("incident", *words)


def test_wrong_usage_exits_2(shell: Any) -> None:
    for words in (["incident", "list", "--stale"], ["incident", "show"], ["incidents"], []):
        assert shell.ctl(*words).exit_code == 2


def test_a_mistake_in_the_configuration_exits_78_with_its_line(shell: Any) -> None:
    shell.config.write_text(shell.config.read_text().replace("store:", "stroe:"))
    result = shell.ctl("incident", "list")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "did you mean store?" in result.stderr
    assert result.stderr.startswith(f"{shell.config}:")


def test_why_tells_how_every_field_got_its_value(busy_shell: Any) -> None:
    why = busy_shell.json("incident", "why", "INC-1001")
    assert set(why) >= KEYS
    assert {"priority", "impact", "urgency", "severity", "service", "team"} <= set(why["fields"])
    for said in why["fields"].values():
        assert set(said) == {"value", "reason", "rule", "model", "policy_version", "at"}
        assert said["reason"]
    assert why["fields"]["priority"]["value"] == why["priority"]
    assert why["routed_by"]["team"] == why["team"]
    assert [one["disposition"] for one in why["folds"]] == ["opened"]
    told = busy_shell.ok("incident", "why", "INC-1001")
    assert "Routed to" in told
    assert why["fields"]["priority"]["reason"] in told


def test_why_dates_a_field_by_the_judgement_that_gave_it(busy_shell: Any) -> None:
    before = busy_shell.json("incident", "why", "INC-1002")["fields"]
    busy_shell.ok("incident", "set", "INC-1002", "impact", "high", "--why", "all of the shops stand still")
    after = busy_shell.json("incident", "why", "INC-1002")["fields"]
    assert after["service"] == before["service"]
    assert after["impact"]["value"] == "high"
    assert after["impact"]["at"] > before["impact"]["at"]
    assert after["impact"]["reason"] == "all of the shops stand still"


def test_an_incident_goes_from_open_to_closed_by_hand(shell: Any) -> None:
    """Every verb, with its sentence and what it leaves on the record."""
    said = shell.ok("incident", "open", "Checkout is slow", "--text", "Since noon", "--service", "checkout",
                    "--requester", "kim@example.org")  # fmt: skip
    assert said.startswith("INC-1001 opened: P")
    assert shell.ok("incident", "ack", "INC-1001", "--as", "ana") == "INC-1001 acknowledged; escalation stops.\n"
    assert "nothing was changed" in shell.ok("incident", "ack", "INC-1001")
    assert shell.ok("incident", "assign", "INC-1001", "ana") == "INC-1001: ana has it, in team service-desk.\n"
    assert shell.ok("incident", "note", "INC-1001", "-", stdin="from a pipe") == "Noted on INC-1001.\n"
    assert shell.ok("incident", "reply", "INC-1001", "We look.") == "The answer to INC-1001 goes to 1 person.\n"
    assert shell.ok("incident", "set", "INC-1001", "priority", "P3", "--why", "only one of the shops is slow") == (
        "INC-1001: priority is P3 now.\n"
    )
    assert "waits on the customer" in shell.ok("incident", "wait", "INC-1001", "--on", "customer", "--reason", "asked")
    assert "worked on again" in shell.ok("incident", "wait", "INC-1001", "--over", "--reason", "answered")
    assert "works again" in shell.ok("incident", "restore", "INC-1001", "--text", "Failed over")
    notes = ["--symptom", "slow", "--cause", "full disk", "--fix", "rotated", "--check", "tried it"]
    assert shell.ok("incident", "resolve", "INC-1001", *notes) == "INC-1001 resolved as solved.\n"
    assert "worked on again" in shell.ok("incident", "reopen", "INC-1001", "--reason", "slow again")
    assert shell.ok("incident", "close", "INC-1001", "--reason", "it was a test") == "INC-1001 closed.\n"
    shown = shell.json("incident", "show", "INC-1001")
    assert (shown["state"], shown["assignee"], shown["due_at"], shown["reopens"]) == ("closed", "ana", None, 1)
    assert shell.ok("incident", "list", "--state", "closed").count("INC-1001") == 1


def test_what_is_given_at_opening_counts(shell: Any) -> None:
    """Kind, category and service as they were said; a word that policy does not know opens nothing."""
    opened = shell.json("incident", "open", "A mouse for Kim", "--kind", "service_request", "--category",
                        "hardware.printer", "--service", "checkout")  # fmt: skip
    assert opened["ref"] == "REQ-1001"
    assert (opened["category"], opened["service"]) == ("hardware.printer", "checkout")
    for option, word, near in (("--kind", "request", "service_request"), ("--category", "hardware.printr", "printer"),
                               ("--service", "chekout", "checkout")):  # fmt: skip
        assert near in shell.refused("incident", "open", "A mouse", option, word)
    assert len(shell.json("incident", "list")["items"]) == 1


def test_what_is_typed_is_text_that_can_be_kept_and_shown(shell: Any) -> None:
    """Half a character of a terminal, a second line and a colour in a title; nothing of it is obeyed."""
    shell.ok("incident", "open", "Checkout \udcffis slow")
    shell.ok("incident", "note", "INC-1001", "half a \udcc3 character")
    shell.ok("incident", "note", "INC-1001", "-", stdin=b"\xff of a pipe")
    shell.ok("incident", "set", "INC-1001", "title", "Slow\nBcc: \x1b[31mred", "--why", "x")
    assert "can't be empty" in shell.refused("incident", "set", "INC-1001", "title", "", "--why", "x")
    assert shell.json("incident", "show", "INC-1001")["title"] == "Slow Bcc: [31mred"
    assert "half a \ufffd character" in shell.ok("incident", "timeline", "INC-1001")


def test_the_timeline_tells_every_act_with_its_author(shell: Any) -> None:
    shell.ok("incident", "open", "Checkout is slow", "--requester", "kim@example.org")
    shell.ok("incident", "ack", "INC-1001", "--as", "ana")
    shell.ok("incident", "assign", "INC-1001", "ben", "--team", "payments", "--note", "yours")
    shell.ok("incident", "reply", "INC-1001", "We look.")
    shell.ok("incident", "set", "INC-1001", "impact", "high", "--why", "all of the shops stand still")
    shell.ok("incident", "restore", "INC-1001", "--text", "Failed over")
    told = shell.ok("incident", "timeline", "INC-1001")
    for words in (
        "opened: Checkout is slow", "acknowledged by cli", "(for ana)", "team payments, ben has it", "yours",
        "answered Kim" if "Kim" in told else "answered kim@example.org", "We look.",
        "impact medium -> high: all of the shops stand still", "state working -> restored", "Failed over",
    ):  # fmt: skip
        assert words in told
    entries = shell.json("incident", "timeline", "INC-1001")["items"]
    assert {entry["author"] for entry in entries if entry["kind"] != "escalated"} == {entries[0]["author"]}
    assert entries[0]["author"].startswith("cli:")
    assert entries[1]["values"].keys() >= {"visibility"}
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))


def test_the_author_is_the_user_of_the_machine_whatever_the_environment_says(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")
    shell.ok("incident", "open", "Checkout is slow")
    assert shell.json("incident", "timeline", "INC-1001")["items"][0]["author"] != "cli:somebody-else"


def test_two_records_become_one(busy_shell: Any) -> None:
    said = busy_shell.ok("incident", "merge", "INC-1002", "--into", "inc-1001", "--reason", "the same disk")
    assert said == "INC-1002 went into INC-1001; what comes for it goes there now.\n"
    shown = busy_shell.json("incident", "show", "INC-1002")
    assert (shown["state"], shown["resolution"]) == ("closed", "duplicate")
    assert shown["links"][0]["relation"] == "duplicate_of"
    assert "took in INC-1002: the same disk" in busy_shell.ok("incident", "timeline", "INC-1001")
    assert "went into INC-1001" in busy_shell.ok("incident", "timeline", "INC-1002")


def test_waiting_on_a_vendor_needs_its_number_and_its_word(busy_shell: Any) -> None:
    assert "vendor_reference" in busy_shell.refused("incident", "wait", "INC-1001", "--on", "vendor")
    busy_shell.ok("incident", "wait", "INC-1001", "--on", "vendor", "--reference", "SR-7", "--until", "tomorrow noon")
    told = busy_shell.ok("incident", "timeline", "INC-1001")
    assert "vendor_reference: SR-7" in told
    assert "vendor_promise: tomorrow noon" in told


def test_a_change_prints_the_record_with_json(shell: Any) -> None:
    opened = shell.json("incident", "open", "Checkout is slow")
    assert (opened["ref"], opened["state"]) == ("INC-1001", "new")
    assert shell.json("incident", "ack", "INC-1001")["acknowledged_by"].startswith("cli:")


def test_text_from_outside_does_not_command_a_terminal(shell: Any, alert: Any) -> None:
    shell.post(alert("Full"))
    shell.work()
    shell.ok("incident", "note", "INC-1001", "red \x1b[31m alert \x9b31m \u202e gnp.exe")
    told = shell.ok("incident", "timeline", "INC-1001")
    assert not {"\x1b", "\x9b", "\u202e"} & set(told)
    assert "\x9b" not in shell.ok("incident", "timeline", "INC-1001", "--json")


def test_markup_of_tables_is_data(shell: Any) -> None:
    shell.ok("incident", "open", "[bold]Full[/bold] [link=http://x]")
    assert "[bold]Full[/bold] [link=http://x]" in shell.ok("incident", "list")


def test_every_command_works_on_postgresql(postgresql_shell: Any, alert: Any) -> None:
    """The store's own tests run on both databases; this is the way there."""
    shell = postgresql_shell
    shell.post(alert("DiskFull", severity="critical", instance="db1"), alert("Slow"))
    shell.mail("My screen is dark")
    shell.work()
    shell.ok("incident", "ack", "INC-1001")
    shell.ok("incident", "reply", "INC-1003", "We look.")
    shell.ok("incident", "merge", "INC-1002", "--into", "INC-1001", "--reason", "the same")
    shell.ok("audit", "checkpoint")
    reading = ("list", "show INC-1001", "why INC-1001", "timeline INC-1001")
    for words in (
        *(f"incident {one}" for one in reading), "signal list", "signal show receipt:1", "signal why receipt:1",
        "signal reconcile", "outbox list", "audit verify", "policy show",
    ):  # fmt: skip
        assert shell.ok(*words.split())
        assert shell.json(*words.split())
    number = shell.json("outbox", "list")["items"][0]["id"]
    assert shell.json("outbox", "discard", str(number), "--reason", "told by phone")["state"] == "dead"


def test_a_terminal_gets_a_table_that_folds_and_hides_nothing(shell: Any) -> None:
    title = "Unlesbarkeitsunfall" * 8
    shell.ok("incident", "open", title)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "daemon.commands.triagectl", "-c", str(shell.config), "incident", "list"]
    environment = {**os.environ, "COLUMNS": "70", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=environment) as listing:
        os.close(slave)
        said = bytearray()
        with suppress(OSError):  # a terminal whose other end is gone says so like that
            while part := os.read(master, 4096):
                said += part
    os.close(master)
    assert listing.returncode == 0
    text = said.decode()
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert text.count("U") == title.count("U")
