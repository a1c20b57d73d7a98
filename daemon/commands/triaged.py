"""``triaged``: the daemon, and what prepares it."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

from daemon.commands.command import new_app

#: The commands, in the order of the help; each is a file beside this one.
COMMANDS = ("serve", "check", "init", "migrate", "backup", "restore", "copy", "submit")

app = new_app("The incident desk in one daemon: people's mail and machines' alerts in one queue, none lost.")


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"triaged {version('triaged')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, show_default=False, help="Say which version."),
    ] = False,
) -> None:
    """Take what stands before a command."""
    del show_version  # its callback has answered


for _command in COMMANDS:
    import_module(f"daemon.commands.{_command}").register(app)


def main() -> None:
    """The program."""
    app(prog_name="triaged")


if __name__ == "__main__":
    main()
