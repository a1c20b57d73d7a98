"""``triagectl policy reload``: have the daemon read its policy again."""

from __future__ import annotations

import os
import signal

from daemon.commands.command import command
from daemon.commands.output import say, say_json
from daemon.commands.policy.app import app
from daemon.commands.refusals import Refused
from daemon.commands.session import Session


@command(app, "reload", examples=["triagectl policy reload"])
def reload(session: Session) -> None:
    """Have the daemon read its policy again. One with mistakes is refused here, and the daemon keeps what it has."""
    from daemon.state import StateFolder

    version = session.policy.version
    pid = StateFolder(session.config.state).running_pid()
    if pid is None:
        raise Refused(f"No daemon runs here, by {session.config.state}; it reads the policy when it starts")
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError as error:
        raise Refused(f"The daemon (pid {pid}) runs as another user; ask as that user, or as root") from error
    except ProcessLookupError as error:
        raise Refused(f"The daemon (pid {pid}) has just ended; it reads the policy when it starts") from error
    if session.as_json:
        say_json({"pid": pid, "version": version})
    else:
        say(f"The daemon (pid {pid}) takes policy {version} now; its log says when it has.")
