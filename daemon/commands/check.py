"""``triaged check``: every mistake at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from daemon.commands.output import say
from daemon.commands.refusals import CONFIGURATION, complain_all
from daemon.commands.registering import DEFAULT_CONFIG, ConfigOption, add_command

if TYPE_CHECKING:
    from daemon.lifecycle import Read


def check(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Read configuration and policy and tell every mistake at once.

    Each on a line: file:line: path: what is wrong, what was expected. Looks at the store, too, and at who owns the
    folders of this program. Exit 78 when there is a mistake; warnings alone are none.
    """
    from daemon.checks import check_rooms, check_store, summary
    from daemon.lifecycle import read_all
    from rules.problems import Problems

    read, found = read_all(config), Problems()
    check_rooms(found)
    if read.config is not None:
        check_store(read.config, config, found)
    errors, warnings = [*read.problems, *found.errors], [*read.warnings, *found.warnings]
    complain_all(errors)
    complain_all(f"{warning} (warning)" for warning in warnings)
    if errors:
        complain_all([f"{config}: {summary(errors, warnings)}; nothing was changed"])
        raise typer.Exit(CONFIGURATION)
    _say_summary(read)
    say(f"{config}: {summary(errors, warnings)}.")


def _say_summary(read: Read) -> None:
    """What would run."""
    config, policy = read.config, read.policy
    assert config is not None
    assert policy is not None
    doors = [f"http {config.http.listen}"]
    if config.smtp is not None and config.smtp.listen is not None:
        doors.append(f"smtp {config.smtp.listen}")
    if config.lmtp is not None:
        doors.append(f"lmtp {config.lmtp.listen}")
    say(f"desk: {config.desk.name}, {len(config.addresses)} addresses, {len(config.sources)} sources")
    say(f"doors: {', '.join(doors)}")
    say(
        f"policy {policy.version}: {len(policy.teams)} teams, {len(policy.services)} services, "
        f"{len(policy.agents)} people, {len(policy.paths)} escalation paths"
    )


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(app, "check", check, examples=["triaged check -c /etc/triaged/triaged.yml"])
