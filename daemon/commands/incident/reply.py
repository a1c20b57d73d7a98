"""``triagectl incident reply``: words to the requester, by mail."""

from __future__ import annotations

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, TextArgument, app, words
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(app, "reply", examples=["triagectl incident reply INC-1042 'The printer works again. Tell us if not.'"])
def reply(session: Session, *, ref: RefArgument, text: TextArgument) -> None:
    """Answer the requester and the watchers by mail, in the thread they know."""
    from store.listing.timeline import list_timeline

    incident = session.acts.reply(ref, by=session.author, now=session.now, text=words(text))
    with session.reading() as connection:
        written = max(list_timeline(connection, incident.id), key=lambda entry: entry.seq)
    count = len(written.values.get("to", ()))
    say_done(session, incident, f"The answer to {incident.ref} goes to {count} {'person' if count == 1 else 'people'}.")
