"""``triagectl incident merge``: one record of two."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(app, "merge", examples=["triagectl incident merge INC-1043 --into INC-1042 --reason 'The same disk'"])
def merge(
    session: Session,
    *,
    ref: RefArgument,
    into: Annotated[str, typer.Option("--into", metavar="REF", help="The record that stays.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why they are one.")],
) -> None:
    """Make one record of two: this one closes, its people and its later signals go to the other."""
    stays = session.acts.merge(ref, into=into, by=session.author, now=session.now, reason=reason)
    say_done(session, stays, f"{ref.upper()} went into {stays.ref}; what comes for it goes there now.")
