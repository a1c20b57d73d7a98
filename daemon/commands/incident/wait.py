"""``triagectl incident wait``: on the customer, on the vendor, or no more."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.refusals import Refused
from daemon.commands.session import Session


@command(
    app, "wait",
    examples=[
        "triagectl incident wait INC-1042 --on customer --reason 'Asked for the serial number'",
        "triagectl incident wait INC-1042 --on vendor --reference SR-77 --until 2026-11-25T14:00+01:00",
        "triagectl incident wait INC-1042 --over",
    ],
)  # fmt: skip
def wait(
    session: Session,
    *,
    ref: RefArgument,
    on: Annotated[
        str | None, typer.Option("--on", metavar="WHOM", show_default=False, help="customer or vendor.")
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", show_default=False, help="What it waits for.")
    ] = "",
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="TEXT", show_default=False, help="The vendor's number for it.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="INSTANT", show_default=False, help="What the vendor promised.")
    ] = None,
    over: Annotated[bool, typer.Option("--over", show_default=False, help="The wait is over.")] = False,
) -> None:
    """Wait on the customer or the vendor; clocks stop where policy says so. --over goes back to work."""
    if over == (on is not None):
        raise Refused("Say either --on customer, --on vendor or --over")
    if on is None:
        incident = session.acts.resume(ref, by=session.author, now=session.now, reason=reason)
        say_done(session, incident, f"{incident.ref} is worked on again, and its clocks run.")
        return
    incident = session.acts.wait(
        ref, by=session.author, now=session.now, on=on, reason=reason, reference=reference, promise=until
    )
    stops = session.policy.lifecycles[incident.kind].states[incident.state].clock_stops
    clocks = "its clocks stand still" if stops else "its clocks run on"
    say_done(session, incident, f"{incident.ref} waits on the {on}; {clocks}.")
