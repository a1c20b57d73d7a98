"""``triaged init``: a desk to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.output import say
from daemon.commands.refusals import refusing
from daemon.commands.registering import add_command


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; nothing that exists is changed.")],
    framework: Annotated[str, typer.Option("--framework", metavar="NAME", help="The policy to begin with.")] = "lean",
) -> None:
    """Write a commented configuration, a policy to change, and a token for the first monitor."""
    from daemon.example import write_example

    with refusing():
        written = write_example(folder, framework=framework)
    for path in written:
        say(str(path))
    say(f"Change them to fit, then `triaged check -c {written[0]}` and `triaged serve -c {written[0]}`.")


def register(app: typer.Typer) -> None:
    """Make it a command."""
    add_command(app, "init", init, examples=["triaged init /etc/triaged --framework lean"])
