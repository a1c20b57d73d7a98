"""``triagectl incident note``: words for those who work on it."""

from __future__ import annotations

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, TextArgument, app, words
from daemon.commands.incident.told import say_done
from daemon.commands.session import Session


@command(
    app, "note",
    examples=[
        "triagectl incident note INC-1042 'Disk replaced, rebuild runs.'", "dmesg | triagectl incident note INC-1042 -",
    ],
)  # fmt: skip
def note(session: Session, *, ref: RefArgument, text: TextArgument) -> None:
    """Write a note. The requester does not read it."""
    incident = session.acts.note(ref, by=session.author, now=session.now, text=words(text))
    say_done(session, incident, f"Noted on {incident.ref}.")
