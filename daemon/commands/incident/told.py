"""What a command that changed a record says: one sentence, or the record as it now stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.commands.incident.show import load_shown
from daemon.commands.output import say, say_json
from daemon.commands.session import Session

if TYPE_CHECKING:
    from incidents.incident import Incident


def say_done(session: Session, incident: Incident, sentence: str) -> None:
    """The sentence for people, the record for machines."""
    if session.as_json:
        from daemon.commands.shapes import shown_shape

        say_json(shown_shape(load_shown(session, incident.ref)))
    else:
        say(sentence)
