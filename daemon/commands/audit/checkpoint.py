"""``triagectl audit checkpoint``: what the hourly checkpoint does, now."""

from __future__ import annotations

from daemon.commands.audit.app import app
from daemon.commands.command import command
from daemon.commands.output import say, say_json
from daemon.commands.session import Session


@command(app, "checkpoint", examples=["triagectl audit checkpoint"])
def checkpoint(session: Session) -> None:
    """Hash the heads that moved since the last checkpoint, as the daemon does every hour."""
    from store.audit import make_checkpoint

    number = make_checkpoint(session.store, session.now)
    if session.as_json:
        say_json({"checkpoint": number})
    else:
        say("No timeline moved since the last checkpoint." if number is None else f"Checkpoint {number} made.")
