"""``triagectl incident open``: open a record by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import app, words
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(
    app, "open",
    examples=["triagectl incident open 'Checkout is slow' --text 'Since 09:40, all shops.' --service payments"],
)  # fmt: skip
def open_(
    session: Session,
    *,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What is wrong, in one line.")],
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="More words; - reads standard input.")] = "",
    requester: Annotated[
        str | None,
        typer.Option("--requester", metavar="ADDRESS", show_default=False, help="Who asked, and is answered by mail."),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", show_default=False, help="A service of services.yml.")
    ] = None,
    category: Annotated[
        str | None, typer.Option("--category", metavar="NAME", show_default=False, help="One of categories.yml.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", show_default=False, help="incident or service_request.")
    ] = None,
) -> None:
    """Open a record. What is not given, the policy's rules decide."""
    given = {"service": service, "category": category, "kind": kind}
    incident = session.acts.open(
        by=session.author, now=session.now, title=title, text=words(text), requester=requester,
        fields={name: value for name, value in given.items() if value is not None},
    )  # fmt: skip
    say_done(session, incident, f"{incident.ref} opened: {incident.priority}, team {incident.team}.")
