"""``triagectl signal discard``: give up what is in quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.command import command
from daemon.commands.output import say, say_json
from daemon.commands.refusals import Refused
from daemon.commands.session import Session
from daemon.commands.signal.app import NameArgument, app
from daemon.commands.signal.replay import quarantined
from daemon.commands.signal.show import load_signal

if TYPE_CHECKING:
    from sqlalchemy import Connection


@command(app, "discard", examples=["triagectl signal discard receipt:12 --reason 'A scanner, not a mail' --spam"])
def discard(
    session: Session,
    *,
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; written on the record opened for it.")],
    spam: Annotated[bool, typer.Option("--spam", show_default=False, help="Count it as spam.")] = False,
) -> None:
    """Give a receipt in quarantine up. Its bytes are kept; nothing more is done with them."""
    from daemon.commands.shapes import receipt_shape
    from incidents.signal import Disposition
    from store.listing.incidents import refs_of
    from store.steering import discard_receipt, quarantine_record

    number = quarantined(session, name)
    disposition = Disposition.SPAM if spam else Disposition.DISCARDED

    def give_up(connection: Connection) -> None:
        if not discard_receipt(connection, number, disposition=disposition, now=session.now):
            raise Refused(f"Receipt {number} left the quarantine meanwhile; nothing was changed")

    with session.reading() as connection:
        record = quarantine_record(connection, number)
        ref = refs_of(connection, [record]).get(record or 0)
    if ref is None:
        with session.store.writing() as connection:
            give_up(connection)
    else:
        text = f"Receipt {number} was discarded{' as spam' if spam else ''}: {reason}"
        session.acts.note(ref, by=session.author, now=session.now, text=text, beside=give_up)
    if session.as_json:
        receipt = load_signal(session, name)[1]
        assert receipt is not None
        say_json(receipt_shape(receipt))
    else:
        say(f"Receipt {number} discarded{f', noted on {ref}' if ref else ''}.")
