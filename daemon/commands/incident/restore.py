"""``triagectl incident restore``: it works again."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app, words
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(app, "restore", examples=["triagectl incident restore INC-1042 --text 'Failed over to the second node.'"])
def restore(
    session: Session,
    *,
    ref: RefArgument,
    text: Annotated[
        str, typer.Option("--text", metavar="TEXT", show_default=False, help="What the requester is told.")
    ] = "",
) -> None:
    """It works again, technically; the requester is told. `resolve` follows when the business agrees."""
    incident = session.acts.restore(ref, by=session.author, now=session.now, text=words(text))
    say_done(session, incident, f"{incident.ref} works again; `triagectl incident resolve` ends it.")
