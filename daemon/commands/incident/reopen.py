"""``triagectl incident reopen``: it is not over after all."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(app, "reopen", examples=["triagectl incident reopen INC-1042 --reason 'Slow again since noon'"])
def reopen(
    session: Session,
    *,
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What came back.")],
) -> None:
    """Back to work, with new promises."""
    incident = session.acts.reopen(ref, by=session.author, now=session.now, reason=reason)
    say_done(session, incident, f"{incident.ref} is worked on again, with new promises.")
