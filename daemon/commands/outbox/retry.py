"""``triagectl outbox retry``: try a notification again, now."""

from __future__ import annotations

from daemon.commands.command import command
from daemon.commands.outbox.app import NumberArgument, app
from daemon.commands.outbox.show import load_notification
from daemon.commands.output import say, say_json
from daemon.commands.refusals import Refused
from daemon.commands.session import Session


@command(app, "retry", examples=["triagectl outbox retry 118"])
def retry(session: Session, *, number: NumberArgument) -> None:
    """Try a notification again, now: one that is dead, or one that waits for its next attempt."""
    from daemon.commands.shapes import notification_shape
    from store.steering import retry_notification

    before = load_notification(session, number).line
    with session.store.writing() as connection:
        done = retry_notification(connection, number, session.now)
    if not done:
        raise Refused(f"Notification {number} is {before.state}, or being handed over; nothing was changed")
    line = load_notification(session, number).line
    if session.as_json:
        say_json(notification_shape(line))
    else:
        say(f"Notification {number} goes to {line.recipient} with the next round.")
