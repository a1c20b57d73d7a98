"""``triagectl incident assign``: give it to a person, a team, or both."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(
    app, "assign",
    examples=["triagectl incident assign INC-1042 ana", "triagectl incident assign INC-1042 --team platform"],
)  # fmt: skip
def assign(
    session: Session,
    *,
    ref: RefArgument,
    to: Annotated[
        str | None, typer.Argument(metavar="[HANDLE]", show_default=False, help="A person of people.yml.")
    ] = None,
    team: Annotated[
        str | None, typer.Option("--team", metavar="TEAM", show_default=False, help="A team of services.yml.")
    ] = None,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", show_default=False, help="Why, for who has it next.")
    ] = "",
) -> None:
    """Give it to a person, to another team, or to both."""
    incident = session.acts.assign(ref, by=session.author, now=session.now, to=to, team=team, text=note)
    has = f"{to} has it, in team {incident.team}" if to else f"team {incident.team} has it, nobody in person"
    say_done(session, incident, f"{incident.ref}: {has}.")
