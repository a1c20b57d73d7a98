"""`triaged backup`, `restore` and `copy`, and the hold of the outbox, as an operator calls them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from daemon.clock import utc_now
from daemon.example import write_example
from daemon.state import StateFolder, alone_on
from store.nodes import beat
from store.retention import retention_round


def _new_desk(tmp_path: Path) -> str:
    """The configuration of a desk without a store."""
    write_example(tmp_path / "new")
    return str(tmp_path / "new" / "triaged.yml")


def _run(shell: Any, *words: str) -> Any:
    result = shell.triaged(*words, "--json")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return json.loads(result.stdout)


def test_a_backup_is_made_and_restored(busy_shell: Any, tmp_path: Path) -> None:
    file, config = str(tmp_path / "b.db"), _new_desk(tmp_path)
    made = _run(busy_shell, "backup", file, "-c", str(busy_shell.config))
    assert (made["file"], len(made["sha256"])) == (file, 64)
    done = _run(busy_shell, "restore", file, "-c", config)
    assert (done["incidents"], done["instance"], done["held"]) == (3, made["instance"], True)
    assert (tmp_path / "new" / "state" / "instance").read_text().strip() == made["instance"]


def test_people_are_told_what_was_done_and_what_comes_next(busy_shell: Any, tmp_path: Path) -> None:
    file, config = str(tmp_path / "b.db"), _new_desk(tmp_path)
    made = busy_shell.triaged("backup", file, "-c", str(busy_shell.config))
    comment, checksum = made.stdout.splitlines()
    assert comment.startswith("# instance ")
    assert checksum == f"{hashlib.sha256(Path(file).read_bytes()).hexdigest()}  {file}"
    done = busy_shell.triaged("restore", file, "-c", config, "--as-copy")
    assert "3 incidents" in done.stdout
    assert "triagectl outbox release" in done.stdout


@pytest.mark.parametrize(("words", "status", "sentence"), [
    (["restore", "{folder}/none.db"], 1, "name one that `triaged backup` wrote"),
    (["restore", "{folder}/b.db"], 1, "not empty"),
    (["backup", "{folder}/b.db"], 1, "overwrites nothing"),
    (["backup", "{folder}/nowhere/b.db"], 1, "is no folder"),
    (["copy", "--to", "oracle://x"], 78, "sqlite:////absolute/path or postgresql"),
    (["copy", "--to", "sqlite:///{folder}/desk/state/triaged.db"], 1, "not empty"),
])  # fmt: skip
def test_what_cannot_be_done_is_told_in_one_sentence(
    busy_shell: Any, tmp_path: Path, words: list[str], status: int, sentence: str
) -> None:
    """Faults 93, 94 and 109 from the shell."""
    _run(busy_shell, "backup", str(tmp_path / "b.db"), "-c", str(busy_shell.config))
    words = [word.format(folder=tmp_path) for word in words]
    result = busy_shell.triaged(*words, "-c", str(busy_shell.config))
    assert (result.exit_code, result.stdout) == (status, "")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["restore", "b.db"], ["copy", "--to", "sqlite:////tmp/x.db"]])
def test_a_daemon_that_runs_is_left_alone(shell: Any, words: list[str]) -> None:
    """Fault 99."""
    with StateFolder(shell.folder / "state").locked():
        result = shell.triaged(*words, "-c", str(shell.config))
    assert result.exit_code == 75
    assert "is locked by pid" in result.stderr


@pytest.mark.parametrize("words", [["restore", "b.db"], ["copy", "--to", "sqlite:////tmp/x.db"], ["migrate"]])
def test_a_daemon_of_another_state_folder_on_the_same_file_is_left_alone(shell: Any, words: list[str]) -> None:
    """Fault 99. Its own configuration names the file, and a state folder that nobody knows."""
    with alone_on(shell.folder / "state" / "triaged.db"):
        result = shell.triaged(*words, "-c", str(shell.config))
    assert result.exit_code == 75
    assert f"triaged.db is locked by pid {os.getpid()}" in result.stderr
    assert result.stderr.count("\n") == 1


def test_nothing_is_copied_into_a_file_that_a_daemon_works_on(shell: Any, tmp_path: Path) -> None:
    with alone_on(tmp_path / "x.db"):
        result = shell.triaged("copy", "--to", f"sqlite:///{tmp_path}/x.db", "-c", str(shell.config))
    assert (result.exit_code, "x.db is locked by pid" in result.stderr) == (75, True)


def test_a_store_is_copied_to_the_other_kind(busy_shell: Any, empty_postgresql_url: str, tmp_path: Path) -> None:
    done = _run(busy_shell, "copy", "--to", empty_postgresql_url, "-c", str(busy_shell.config))
    assert done["incidents"] == 3
    entries = busy_shell.json("audit", "verify")["entries"]
    assert done["entries"] == entries
    text = busy_shell.config.read_text().replace("sqlite:///state/triaged.db", f'"{empty_postgresql_url}"')
    busy_shell.config.write_text(text)
    assert busy_shell.json("audit", "verify")["entries"] == entries
    assert busy_shell.json("signal", "reconcile")["differences"] == []
    assert busy_shell.json("outbox", "list")["held"] is None
    busy_shell.ok("incident", "open", "One more", "--requester", "kim@example.org")
    assert busy_shell.json("incident", "show", "INC-1004")["title"] == "One more"
    back = f"sqlite:///{tmp_path}/back.db"
    assert _run(busy_shell, "copy", "--to", back, "-c", str(busy_shell.config))["incidents"] == 4


def test_a_store_that_another_host_works_on_is_not_copied(shell: Any, tmp_path: Path) -> None:
    """What it takes meanwhile would stay behind."""
    with shell.store.writing() as connection:
        beat(connection, "db-host-1a2b3c", utc_now())
    result = shell.triaged("copy", "--to", f"sqlite:///{tmp_path}/x.db", "-c", str(shell.config))
    assert result.exit_code == 1
    assert "daemon on db-host works on this database" in result.stderr


def test_deliveries_are_held_and_released_by_hand(shell: Any) -> None:
    assert shell.json("outbox", "list")["held"] is None
    assert "nothing goes out until `triagectl outbox release`" in shell.ok("outbox", "hold")
    assert shell.json("outbox", "hold")["held"]["reason"] == "by_hand"
    assert "(by hand)" in shell.ok("outbox", "list")
    shell.ok("incident", "open", "Checkout is slow", "--requester", "kim@example.org")
    shell.ok("incident", "reply", "INC-1001", "We look.")
    released = shell.json("outbox", "release")
    assert (released["released"]["reason"], released["expired"]) == ("by_hand", 0)
    assert released["waiting"] == len(shell.json("outbox", "list", "--state", "waiting")["items"]) > 0
    assert "not held" in shell.refused("outbox", "release")


def test_a_configuration_with_mistakes_is_told_as_everywhere(shell: Any, tmp_path: Path) -> None:
    broken = tmp_path / "triaged.yml"
    shutil.copyfile(shell.config, broken)
    broken.write_text(broken.read_text() + "\nnonsense: 1\n")
    for words in (["backup", "x"], ["restore", "x"], ["copy", "--to", "x"]):
        result = shell.triaged(*words, "-c", str(broken))
        assert (result.exit_code, "nonsense" in result.stderr) == (78, True)


def test_a_receipt_whose_bytes_are_gone_is_not_replayed(shell: Any) -> None:
    """Fault 114: it stays in quarantine, and the operator is told what can still be done."""
    shell.post({"nonsense": True})
    with shell.store.writing() as connection:
        connection.exec_driver_sql("UPDATE receipts SET state = 'quarantined', error = 'odd', received_at = 0")
    assert retention_round(shell.store, utc_now(), wait=lambda _: False) is not None
    assert "deleted when their time was over" in shell.refused("signal", "replay", "receipt:1")
    assert shell.json("signal", "show", "receipt:1")["state"] == "quarantined"
    shell.ok("signal", "discard", "receipt:1", "--reason", "too old")


def test_verify_names_the_tombstones_of_retention(busy_shell: Any) -> None:
    with busy_shell.store.writing() as connection:
        connection.exec_driver_sql("UPDATE incidents SET closed_at = 0 WHERE number = 1003")
        connection.exec_driver_sql("UPDATE fold_keys SET last_seen_at = 0")
    assert retention_round(busy_shell.store, utc_now(), wait=lambda _: False) is not None
    assert busy_shell.json("audit", "verify")["tombstones"] == 1
    assert "tombstones     1" in busy_shell.ok("audit", "verify")
    assert busy_shell.json("signal", "reconcile")["differences"] == []
