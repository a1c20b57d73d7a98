"""``triagectl incident resolve``: it is over, and written down."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(
    app, "resolve",
    examples=[
        "triagectl incident resolve INC-1042 --symptom 'No mail' --cause 'Full disk' --fix 'Logs rotate' --check Tried",
        "triagectl incident resolve REQ-1043 --fix 'Account made'",
    ],
)  # fmt: skip
def resolve(
    session: Session,
    *,
    ref: RefArgument,
    symptom: Annotated[
        str, typer.Option("--symptom", metavar="TEXT", show_default=False, help="What people saw.")
    ] = "",
    cause: Annotated[str, typer.Option("--cause", metavar="TEXT", show_default=False, help="Why it broke.")] = "",
    fix: Annotated[str, typer.Option("--fix", metavar="TEXT", show_default=False, help="What was done.")] = "",
    check: Annotated[
        str, typer.Option("--check", metavar="TEXT", show_default=False, help="How you know that it works.")
    ] = "",
    code: Annotated[str, typer.Option("--code", metavar="WORD", help="How it ended, in one word.")] = "solved",
    waive: Annotated[
        str | None,
        typer.Option(
            "--waive", metavar="REASON", show_default=False,
            help="Why the business owner's confirmation is done without; needs the role manager or admin.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """It is over. An incident needs four notes; a request needs its fix alone."""
    from desk.restore import Resolution, check_code

    notes = {"symptom": symptom, "cause": cause, "fix": fix, "check": check}
    resolution = Resolution(notes, check_code(code), waive)
    incident = session.acts.resolve(ref, by=session.author, now=session.now, resolution=resolution)
    say_done(session, incident, f"{incident.ref} resolved as {incident.resolution}.")
