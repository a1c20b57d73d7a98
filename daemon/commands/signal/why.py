"""``triagectl signal why``: what became of a signal, and why."""

from __future__ import annotations

from daemon.commands.command import command
from daemon.commands.output import say, say_json
from daemon.commands.session import Session
from daemon.commands.signal.app import NameArgument, app
from daemon.commands.signal.show import load_signal


@command(app, "why", examples=["triagectl signal why 34", "triagectl signal why receipt:12"])
def why(session: Session, *, name: NameArgument) -> None:
    """What became of a signal, and why."""
    from daemon.commands.shapes import receipt_shape, signal_shape
    from daemon.commands.signal.reasons import sentence_of

    line, receipt, signals = load_signal(session, name)
    told = signals if line is None else [line]
    if session.as_json:
        say_json({
            "receipt": None if receipt is None else receipt_shape(receipt),
            "signals": [{**signal_shape(one), "because": sentence_of(one.reason, one.disposition)} for one in told],
        })  # fmt: skip
        return
    for one in told:
        record = f" {one.incident}" if one.incident else ""
        first = f", the first is signal {one.repeats}" if one.repeats is not None else ""
        say(f"Signal {one.id} was {one.disposition}{record}: {sentence_of(one.reason, one.disposition)}{first}.")
    if receipt is not None and receipt.state != "worked":
        say(f"Receipt {receipt.id} is {receipt.state}{f': {receipt.error}' if receipt.error else ''}.")
    elif receipt is not None and not told:
        counts = ", ".join(f"{count} {word}" for word, count in receipt.counts.items()) or "nothing in it"
        say(f"Receipt {receipt.id} only told again what was known: {counts}.")
