"""``triagectl outbox show``: one notification, every attempt, and the text of its mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.commands.command import command
from daemon.commands.outbox.app import NumberArgument, app
from daemon.commands.output import local, say, say_facts, say_json, say_table
from daemon.commands.refusals import NotFound
from daemon.commands.session import Session

if TYPE_CHECKING:
    from store.listing.outbox import NotificationShown


@command(app, "show", examples=["triagectl outbox show 118", "triagectl outbox show 118 --json"])
def show(session: Session, *, number: NumberArgument) -> None:
    """One notification: to whom, every attempt, and the text of its mail."""
    from daemon.commands.shapes import told_shape

    shown = load_notification(session, number)
    text = None if shown.body is None else mail_text(shown.body)
    if session.as_json:
        say_json(told_shape(shown, text))
        return
    _say(shown)
    say("")
    say(text or "The text is not written yet: that is done just before the first attempt.")


def load_notification(session: Session, number: int) -> NotificationShown:
    """The notification of that number. Raises `NotFound`."""
    from store.listing.outbox import show_notification

    with session.reading() as connection:
        shown = show_notification(connection, number)
    if shown is None:
        raise NotFound(f"There is no notification {number}; `triagectl outbox list` shows them")
    return shown


def mail_text(body: bytes) -> str:
    """Subject and plain text of a mail that the desk composed itself."""
    from email import policy
    from email.parser import BytesParser

    mail = BytesParser(policy=policy.default).parsebytes(body)
    part = mail.get_body(("plain",))
    text = part.get_content() if part is not None else ""
    return f"Subject: {mail['subject']}\n\n{text.strip()}".replace("\r\n", "\n")


def _say(shown: NotificationShown) -> None:
    line = shown.line
    say_facts([
        ("notification", f"{line.id}, {line.kind} by {line.channel}"),
        ("to", f"{line.person} <{line.recipient}>"),
        ("about", line.subject or (f"{line.members} pages told together" if line.members else None)),
        ("state", line.state),
        ("reason", line.reason),
        ("told by", None if line.notice is None else f"notification {line.notice}"),
        ("message id", line.message_id),
        ("created", local(line.created_at)),
        ("next try", local(line.next_at)),
        ("given up", local(line.expires_at) if line.next_at is not None else None),
    ])  # fmt: skip
    if shown.attempts:
        say("")
        rows = [(local(one.at), one.outcome, one.code, one.text) for one in shown.attempts]
        say_table(("attempt", "outcome", "code", "what the relay said"), rows, empty="")
