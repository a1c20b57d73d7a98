"""``triagectl incident ack``: somebody has it."""

from __future__ import annotations

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.incident.told import say_done
from daemon.commands.output import local
from daemon.commands.session import Session


@command(app, "ack", examples=["triagectl incident ack INC-1042", "triagectl incident ack INC-1042 --as ana"])
def ack(session: Session, *, ref: RefArgument) -> None:
    """Acknowledge: somebody has it, and escalation stops. Who works on it is set by `assign`."""
    incident = session.acts.acknowledge(ref, by=session.author, now=session.now, channel="cli")
    if incident.acknowledged_at == session.now:
        sentence = f"{incident.ref} acknowledged; escalation stops."
    elif incident.acknowledged_at is not None:
        sentence = f"{incident.ref} was acknowledged at {local(incident.acknowledged_at)}; nothing was changed."
    else:
        sentence = f"{incident.ref} is {incident.state}, so there is nothing to acknowledge; nothing was changed."
    say_done(session, incident, sentence)
