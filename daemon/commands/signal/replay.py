"""``triagectl signal replay``: try again what is in quarantine."""

from __future__ import annotations

from daemon.commands.command import command
from daemon.commands.output import say, say_json
from daemon.commands.refusals import Refused
from daemon.commands.session import Session
from daemon.commands.signal.app import NameArgument, app, receipt_number
from daemon.commands.signal.show import load_signal


@command(app, "replay", examples=["triagectl signal replay receipt:12"])
def replay(session: Session, *, name: NameArgument) -> None:
    """Take a receipt out of quarantine and try it again, as if it had just come."""
    from daemon.commands.shapes import receipt_shape
    from store.receipts import has_body
    from store.steering import replay_receipt

    number = quarantined(session, name)
    with session.store.writing() as connection:
        if not has_body(connection, number):
            raise Refused(
                f"The raw bytes of receipt {number} were deleted when their time was over, so there is nothing to "
                "replay; `triagectl signal discard` closes it"
            )
        done = replay_receipt(connection, number)
    if not done:
        raise Refused(f"Receipt {number} left the quarantine meanwhile; nothing was changed")
    if session.as_json:
        receipt = load_signal(session, name)[1]
        assert receipt is not None
        say_json(receipt_shape(receipt))
    else:
        say(f"Receipt {number} waits to be worked again.")
        say(f"`triagectl signal why receipt:{number}` tells what became of it.")


def quarantined(session: Session, name: str) -> int:
    """The receipt in quarantine that a name means. Raises `Refused` with where it is instead."""
    line, receipt, _ = load_signal(session, name)
    if line is not None or receipt is None or receipt_number(name) is None:
        raise Refused(f"Signal {name} was worked; only receipts in quarantine can be replayed or discarded")
    if receipt.state != "quarantined":
        raise Refused(f"Receipt {receipt.id} is {receipt.state}, not in quarantine; nothing was changed")
    return receipt.id
