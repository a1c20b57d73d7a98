"""``triagectl policy check``: whether the policy holds."""

from __future__ import annotations

import typer

from daemon.commands.command import command
from daemon.commands.output import say, say_json
from daemon.commands.policy.app import app
from daemon.commands.refusals import CONFIGURATION, complain_all
from daemon.commands.session import Session


@command(app, "check", examples=["triagectl policy check"])
def check(session: Session) -> None:
    """Read the policy and tell every mistake at once. Exit 78 when there is one."""
    from daemon.config import check_together
    from daemon.policy import read_policy

    config = session.config
    loaded = read_policy(config.policy, framework=config.desk.framework, zone=config.desk.zone)
    problems = list(loaded.problems)
    if loaded.policy is not None:
        problems += check_together(config, loaded.policy)
    if session.as_json:
        say_json({
            "version": None if problems or loaded.policy is None else loaded.policy.version,
            "problems": [str(problem) for problem in problems],
            "warnings": [str(warning) for warning in loaded.warnings],
        })  # fmt: skip
    else:
        complain_all(problems)
        complain_all(f"{warning} (warning)" for warning in loaded.warnings)
    if problems:
        raise typer.Exit(CONFIGURATION)
    if not session.as_json and loaded.policy is not None:
        say(f"Policy {loaded.policy.version} holds.")
