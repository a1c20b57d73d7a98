"""What the commands of ``triaged`` share: the option for the configuration, and how one is registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.session import DEFAULT_CONFIG

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", metavar="FILE", envvar="TRIAGED_CONFIG", help="The configuration."),
]

#: Exit statuses beside those of ``triagectl``, as sysexits.h names them.
USAGE, DATA, NO_USER, CORRUPT, TRY_AGAIN = 64, 65, 67, 74, 75

__all__ = ["CORRUPT", "DATA", "DEFAULT_CONFIG", "NO_USER", "TRY_AGAIN", "USAGE", "ConfigOption", "add_command"]


def add_command(app: typer.Typer, name: str, function: Callable[..., None], *, examples: Sequence[str]) -> None:
    """Make ``function`` the command ``name``; its docstring is the help, ``examples`` stand below it."""
    app.command(name, epilog="\n\n".join(f"$ {example}" for example in examples))(function)
