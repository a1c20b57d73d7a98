"""``triagectl outbox discard``: do not tell it after all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.command import command
from daemon.commands.outbox.app import NumberArgument, app
from daemon.commands.outbox.show import load_notification
from daemon.commands.output import say, say_json
from daemon.commands.refusals import Refused
from daemon.commands.session import Session

if TYPE_CHECKING:
    from sqlalchemy import Connection


@command(app, "discard", examples=["triagectl outbox discard 118 --reason 'Told by phone'"])
def discard(
    session: Session,
    *,
    number: NumberArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; written on the record, too.")],
) -> None:
    """Give up a notification that waits. Its record says so."""
    from daemon.commands.shapes import notification_shape
    from store.steering import discard_notification

    line = load_notification(session, number).line

    def give_up(connection: Connection) -> None:
        if not discard_notification(connection, number, reason=reason, now=session.now):
            raise Refused(f"Notification {number} is {line.state}, or being handed over; nothing was changed")

    if line.subject is None:
        with session.store.writing() as connection:
            give_up(connection)
    else:
        text = f"The {line.kind} to {line.recipient} (notification {number}) was discarded: {reason}"
        session.acts.note(line.subject, by=session.author, now=session.now, text=text, beside=give_up)
    if session.as_json:
        say_json(notification_shape(load_notification(session, number).line))
    else:
        say(f"Notification {number} discarded; {line.recipient} is not told.")
