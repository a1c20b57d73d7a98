"""`triagectl policy`: what is in force, and what it would say."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from daemon.state import StateFolder

MAIL = "From: kim@example.org\nTo: support@example.com\nSubject: vpn is down\nMessage-ID: <1@x>\n\nSince noon.\n"


def test_the_policy_in_force_is_shown_with_its_files(shell: Any) -> None:
    shown = shell.json("policy", "show")
    assert len(shown["version"]) == 12
    assert {"name": "sla.yml", "path": str(shell.folder / "policy" / "sla.yml"), "own": True} in shown["files"]
    (shell.folder / "policy" / "sla.yml").unlink()
    (file,) = (one for one in shell.json("policy", "show")["files"] if one["name"] == "sla.yml")
    assert not file["own"]
    assert "of the pack" in shell.ok("policy", "show")


def test_the_effective_policy_is_its_text(shell: Any) -> None:
    text = (shell.folder / "policy" / "people.yml").read_text().strip()
    assert text in shell.ok("policy", "show", "--effective")
    files = shell.json("policy", "show", "--effective")["files"]
    assert next(one["text"] for one in files if one["name"] == "people.yml").strip() == text


def test_a_policy_with_mistakes_exits_78_with_all_of_them(shell: Any) -> None:
    assert shell.ok("policy", "check").endswith(" holds.\n")
    people, sla = shell.folder / "policy" / "people.yml", shell.folder / "policy" / "sla.yml"
    people.write_text(people.read_text().replace("team: payments", "team: paymets"))
    sla.write_text("nonsense: 1\n" + sla.read_text())
    result = shell.ctl("policy", "check")
    assert result.exit_code == 78
    assert "did you mean payments?" in result.stderr
    assert f"{sla}:1:" in result.stderr
    document = json.loads(shell.ctl("policy", "check", "--json").stdout)
    assert len(document["problems"]) >= 2
    assert document["version"] is None


def test_explain_tells_what_a_mail_would_become_and_stores_nothing(shell: Any, tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_text(MAIL)
    (item,) = shell.json("policy", "explain", str(file))["items"]
    assert item["fields"]["service"]["value"] == "vpn"
    for said in item["fields"].values():
        assert set(said) == {"value", "reason", "rule", "model", "policy_version", "at"}
    assert {one["name"] for one in item["targets"]} >= {"sla.respond"}
    assert "vpn is down" in shell.ok("policy", "explain", str(file))
    assert shell.json("signal", "list")["items"] == []
    assert shell.json("incident", "list")["items"] == []


def test_explain_says_the_same_as_the_desk_does(shell: Any, alert: Any, tmp_path: Path) -> None:
    one = alert("DiskFull", severity="critical", env="prod", service="checkout")
    file = tmp_path / "firing.json"
    file.write_text(json.dumps({"version": "4", "alerts": [one]}))
    (item,) = shell.json("policy", "explain", str(file), "--format", "alertmanager", "--source", "prometheus")["items"]
    shell.post(one)
    shell.work()
    why = shell.json("incident", "why", "INC-1001")["fields"]
    assert {name: said["value"] for name, said in item["fields"].items()} == {
        name: said["value"] for name, said in why.items()
    }
    assert item["escalation"]["steps"][0]["after_seconds"] == 0


def test_explain_of_nothing_is_refused(shell: Any, tmp_path: Path) -> None:
    assert "cannot be read" in shell.refused("policy", "explain", str(tmp_path / "none"))
    file = tmp_path / "empty.json"
    file.write_text('{"version": "4", "alerts": []}')
    assert "holds nothing" in shell.refused("policy", "explain", str(file), "--format", "alertmanager")


def test_reload_signals_the_daemon_that_holds_the_lock(shell: Any) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    try:
        with StateFolder(shell.folder / "state").locked():
            assert f"(pid {os.getpid()})" in shell.ok("policy", "reload")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert heard == [signal.SIGHUP]


@pytest.mark.parametrize("left_behind", [True, False])
def test_reload_without_a_daemon_signals_nobody(shell: Any, *, left_behind: bool) -> None:
    """A process id that a dead daemon left behind may be anybody's by now."""
    if left_behind:
        (shell.folder / "state" / "daemon.pid").write_text("1\n")
    assert "No daemon runs here" in shell.refused("policy", "reload")


def test_reload_refuses_a_policy_with_mistakes(shell: Any) -> None:
    (shell.folder / "policy" / "sla.yml").write_text("nonsense: 1\n")
    result = shell.ctl("policy", "reload")
    assert result.exit_code == 78
    assert "nonsense" in result.stderr
