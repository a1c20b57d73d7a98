"""`triagectl audit`: fault 70 at the shell."""

from __future__ import annotations

import json
from typing import Any


def test_a_clean_timeline_exits_0(busy_shell: Any) -> None:
    assert busy_shell.ok("audit", "checkpoint").startswith("Checkpoint ")
    assert "No timeline moved" in busy_shell.ok("audit", "checkpoint")
    verified = busy_shell.json("audit", "verify")
    assert (verified["checkpoints"], verified["first_broken"]) == (1, None)
    assert verified["entries"] >= 3
    assert "first broken   none" in busy_shell.ok("audit", "verify")


def test_a_changed_value_names_its_record_and_exits_1(busy_shell: Any) -> None:
    incident = busy_shell.json("incident", "show", "INC-1002")
    with busy_shell.store.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE timeline_values SET \"values\" = replace(\"values\", 'Slow', 'Fast')"
            " WHERE subject = (SELECT id FROM incidents WHERE number = 1002) AND seq = 1"
        )
    assert incident["title"] == "Slow"
    result = busy_shell.ctl("audit", "verify", "--json")
    broken = json.loads(result.stdout)["first_broken"]
    assert result.exit_code == 1
    assert (broken["ref"], broken["seq"]) == ("INC-1002", 1)
    assert "differs from its leaf" in broken["what"]
    assert "INC-1002, entry 1" in busy_shell.ctl("audit", "verify").stdout
    assert busy_shell.json("audit", "verify", "--subject", "INC-1001")["first_broken"] is None


def test_what_to_verify_is_a_record_or_a_time(busy_shell: Any) -> None:
    assert busy_shell.json("audit", "verify", "--since", "2999-01-01")["entries"] == 0
    assert busy_shell.json("audit", "verify", "--since", "2020-01-01T00:00:00+01:00")["entries"] >= 3
    assert "is no instant" in busy_shell.refused("audit", "verify", "--since", "yesterday")
    assert "There is no record" in busy_shell.refused("audit", "verify", "--subject", "INC-9")
