"""``triagectl outbox release``: let go out what was held."""

from __future__ import annotations

from daemon.commands.command import command
from daemon.commands.outbox.app import app
from daemon.commands.output import say, say_json
from daemon.commands.refusals import Refused
from daemon.commands.session import Session


@command(app, "release", examples=["triagectl outbox release"])
def release(session: Session) -> None:
    """Let deliveries go out again, all that wait with the next round.

    After a restore, look at `outbox list` first: what was told since the backup is told again. `outbox discard` takes
    out what must not be.
    """
    from daemon.commands.outbox.hold import hold_shape
    from store.holding import count_untold, release_deliveries

    with session.store.writing() as connection:
        stood = release_deliveries(connection)
        untold = count_untold(connection, session.now)
    if stood is None:
        raise Refused("Deliveries are not held; nothing was changed")
    if session.as_json:
        say_json({"released": hold_shape(stood), "waiting": untold["in_time"], "expired": untold["expired"]})
    else:
        say(f"Released: {untold['in_time']} notifications go out now, {untold['expired']} are too old and given up.")
