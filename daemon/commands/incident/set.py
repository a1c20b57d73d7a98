"""``triagectl incident set``: change a judged field, and say why."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(
    app, "set",
    examples=["triagectl incident set INC-1042 priority P2 --why 'The shop in Linz is closed meanwhile'"],
)  # fmt: skip
def set_(
    session: Session,
    *,
    ref: RefArgument,
    field: Annotated[
        str,
        typer.Argument(metavar="FIELD", help="priority, severity, impact, urgency, service, category or title."),
    ],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Its new value.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why it changes; kept beside what the rules said.")],
) -> None:
    """Change a field that was judged. What the rules said is kept; promises follow a new priority."""
    incident = session.acts.set(
        ref, by=session.author, now=session.now, field=field, value=value, justification=why
    )
    then = "" if field == "priority" else f"; priority {incident.priority}"
    say_done(session, incident, f"{incident.ref}: {field} is {getattr(incident, field)} now{then}.")
