"""Saying no: one sentence on standard error, and an exit status that scripts can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import typer

from daemon.commands.output import visible

REFUSED = 1
CONFIGURATION = 78  # EX_CONFIG of sysexits.h; systemd is told not to start it again


class Refused(Exception):
    """This can't be done."""

    code = "command.refused"
    permanent = True


class NotFound(Refused):
    """There is no such thing."""

    code = "command.not_found"


class NotConfigured(Refused):
    """The configuration or the policy has mistakes; ``lines`` tells them all."""

    code = "command.configuration"

    def __init__(self, problems: Iterable[object]) -> None:
        super().__init__()
        self.lines = [str(problem) for problem in problems]


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what the desk, the store or a command refuses inside into its sentence and an exit status.

    Every error of a room has a ``code``; what has none is a fault of triaged and is not hidden.
    """
    try:
        yield
    except Exception as error:
        if not hasattr(error, "code") or not hasattr(error, "permanent"):
            raise
        if isinstance(error, NotConfigured):
            complain_all(error.lines)
            raise typer.Exit(CONFIGURATION) from error
        complain(str(error))
        raise typer.Exit(REFUSED) from error


def complain(sentence: str) -> None:
    """One sentence on standard error, with its full stop."""
    text = visible(sentence).strip()
    typer.echo(text if text.endswith((".", "?")) else f"{text}.", err=True)


def complain_all(lines: Iterable[object]) -> None:
    """Every problem of a file on a line of its own."""
    for line in lines:
        typer.echo(visible(str(line)), err=True)
