"""``triagectl incident close``: nothing more will be done."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(app, "close", examples=["triagectl incident close INC-1042 --reason 'Confirmed by phone'"])
def close(
    session: Session,
    *,
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why nothing more will be done.")],
) -> None:
    """Nothing more will be done. What is resolved closes by itself after a while."""
    incident = session.acts.close(ref, by=session.author, now=session.now, reason=reason)
    say_done(session, incident, f"{incident.ref} closed.")
