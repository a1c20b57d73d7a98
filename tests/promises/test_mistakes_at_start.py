"""What an operator gets wrong is told at once, with the line, and nothing loops."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest


def start(desk: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon.commands.triaged", "serve", "-c", str(desk.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("triaged.yml", "store:", "stoer:", "triaged.yml:6: "),
        ("triaged.yml", "127.0.0.1:", "nowhere:x", "triaged.yml:"),
        ("policy/routing.yml", "start_tier: 1", "start_tear: 1", "routing.yml:"),
        ("policy/services.yml", "[service-desk]", "[servis-desk]", "service-desk"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_ends_with_78(
    new_desk: Callable[..., Any], file: str, old: str, new: str, said: str
) -> None:
    """Fault 83: `RestartPreventExitStatus` then stops the unit from looping."""
    desk = new_desk()
    path = desk.folder / file
    path.write_text(path.read_text().replace(old, new, 1))
    ended = start(desk)
    assert ended.returncode == 78
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_daemon_on_the_same_folder_is_refused(desk: Any) -> None:
    """Fault 99: 75, and who has it."""
    ended = start(desk)
    assert ended.returncode == 75
    assert f"locked by pid {desk.process.pid}" in ended.stderr


def test_a_policy_that_does_not_check_is_refused_and_the_old_one_stays(desk: Any, waiting: Callable[..., Any]) -> None:
    """Fault 84: told in the log and in the figures; work goes on."""
    path = desk.folder / "policy" / "routing.yml"
    path.write_text("first match: [nonsense]\n")
    desk.process.send_signal(signal.SIGHUP)
    waiting(lambda: "triaged_config_last_reload_success 0" in desk.get("/metrics")[1], "the figure says so")
    assert "policy.refused" in desk.log()
    assert desk.get("/readyz")[0] == 200
