"""``triaged serve``: the daemon."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.refusals import complain
from daemon.commands.registering import DEFAULT_CONFIG, ConfigOption, add_command

RoleOption = Annotated[
    str,
    typer.Option(
        "--role", metavar="ROLES",
        help="The parts that run here: ingest (doors), work (turns, timers), deliver (hand-over), web (pages).",
    ),
]  # fmt: skip


def serve(config: ConfigOption = DEFAULT_CONFIG, role: RoleOption = "ingest,work,deliver,web") -> None:
    """Run the daemon until it is asked to stop.

    SIGTERM lets it finish what it has begun, SIGHUP makes it read the policy again. Exit 78: the configuration or
    the policy has mistakes. 75: try again. 74: the database is damaged, and nothing was changed.

    Several daemons may share a PostgreSQL database, each with a state folder of its own, and split its parts by --role.
    """
    from daemon.lifecycle import CONFIGURATION
    from daemon.lifecycle import serve as run
    from daemon.roles import read_roles

    try:
        roles = read_roles(role)
    except ValueError as error:
        complain(str(error))
        raise typer.Exit(CONFIGURATION) from None
    raise typer.Exit(run(config, say=complain, roles=roles))


def register(app: typer.Typer) -> None:
    """Make it a command."""
    examples = ["triaged serve -c /etc/triaged/triaged.yml", "triaged serve --role work,deliver"]
    add_command(app, "serve", serve, examples=examples)
