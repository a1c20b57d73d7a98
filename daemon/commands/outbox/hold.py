"""``triagectl outbox hold``: hand nothing over for now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.commands.command import command
from daemon.commands.outbox.app import app
from daemon.commands.output import local, say, say_json
from daemon.commands.session import Session

if TYPE_CHECKING:
    from store.holding import Hold


@command(app, "hold", examples=["triagectl outbox hold"])
def hold(session: Session) -> None:
    """Hand nothing over until `outbox release`.

    Mail and alerts are taken as before, and notifications are composed; nobody is told. A page that is a day old then
    is given up, a mail after five days.
    """
    from store.holding import HoldReason, hold_deliveries

    with session.store.writing() as connection:
        stands = hold_deliveries(connection, HoldReason.BY_HAND, session.now)
    if session.as_json:
        say_json({"held": hold_shape(stands)})
    else:
        say(held_sentence(stands))


def hold_shape(stands: Hold | None) -> dict[str, Any] | None:
    """The hold as JSON, null where deliveries go out."""
    return None if stands is None else {"since": stands.since, "reason": str(stands.reason)}


def held_sentence(stands: Hold) -> str:
    """What an operator has to know while nothing goes out."""
    why = {
        "restored": "the store was restored", "by_hand": "by hand",
        "strange_host": "the store woke on a host that it did not know",
    }[stands.reason]  # fmt: skip
    return (
        f"Deliveries are held since {local(stands.since)} ({why}): nothing goes out until `triagectl outbox release`."
    )
