"""``triaged serve``: the daemon."""

from __future__ import annotations

import typer

from daemon.commands.refusals import complain
from daemon.commands.registering import DEFAULT_CONFIG, ConfigOption, add_command


def serve(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the daemon until it is asked to stop.

    SIGTERM lets it finish what it has begun, SIGHUP makes it read the policy again. Exit 78: the configuration or
    the policy has mistakes. 75: try again. 74: the database is damaged, and nothing was changed.
    """
    from daemon.lifecycle import serve as run

    raise typer.Exit(run(config, say=complain))


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(app, "serve", serve, examples=["triaged serve -c /etc/triaged/triaged.yml"])
