"""``triagectl signal show``: one signal, or one receipt with its signals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from daemon.commands.command import command
from daemon.commands.output import local, say, say_facts, say_json, say_table
from daemon.commands.refusals import NotFound
from daemon.commands.session import Session
from daemon.commands.signal.app import NameArgument, app, receipt_number, signal_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.listing.signals import ReceiptShown, SignalLine


@command(app, "show", examples=["triagectl signal show 34", "triagectl signal show receipt:12"])
def show(session: Session, *, name: NameArgument) -> None:
    """One signal with the receipt that it came in, or one receipt with what was made of it."""
    from daemon.commands.shapes import receipt_shape, signal_shape

    line, receipt, signals = load_signal(session, name)
    if not session.as_json:
        _say(line, receipt, signals)
    elif line is None:
        assert receipt is not None
        say_json({**receipt_shape(receipt), "signals": [signal_shape(one) for one in signals]})
    else:
        say_json({**signal_shape(line), "from": None if receipt is None else receipt_shape(receipt)})


def load_signal(session: Session, name: str) -> tuple[SignalLine | None, ReceiptShown | None, Sequence[SignalLine]]:
    """A signal with its receipt, or a receipt with its signals. Raises `NotFound`."""
    from store.listing.signals import show_receipt, show_signal, signals_of

    number = receipt_number(name)
    with session.reading() as connection:
        if number is not None:
            receipt = show_receipt(connection, number)
            if receipt is None:
                raise NotFound(f"There is no receipt {number}; `triagectl signal list` shows what came in")
            return None, receipt, signals_of(connection, number)
        line = show_signal(connection, signal_number(name))
        if line is None:
            raise NotFound(f"There is no signal {name}; `triagectl signal list` shows what came in")
        return line, show_receipt(connection, line.receipt), ()


def _say(line: SignalLine | None, receipt: ReceiptShown | None, signals: Sequence[SignalLine]) -> None:
    if line is not None:
        say_facts([
            ("signal", str(line.id)), ("title", line.title), ("status", line.status),
            ("disposition", line.disposition), ("incident", line.incident), ("reason", line.reason),
            ("repeats", None if line.repeats is None else f"signal {line.repeats}"),
        ])  # fmt: skip
    if receipt is not None:
        say_facts(_receipt(receipt))
    if line is None and signals:
        say("")
        rows = [(one.name, one.status, one.disposition, one.incident, one.title) for one in signals]
        say_table(("signal", "status", "disposition", "incident", "title"), rows, empty="")
    if receipt is not None and receipt.state == "quarantined":
        say("")
        say(f"`triagectl signal replay receipt:{receipt.id}` tries it again, `discard` gives it up.")


def _receipt(receipt: ReceiptShown) -> list[tuple[str, str | None]]:
    return [
        ("receipt", str(receipt.id)),
        ("received", local(receipt.received_at)),
        ("source", f"{receipt.source}, format {receipt.format}"),
        ("size", f"{receipt.size} bytes"),
        ("envelope", "\n".join(f"{name}: {_word(value)}" for name, value in receipt.envelope.items())),
        ("state", receipt.state),
        ("worked", local(receipt.worked_at)),
        ("attempts", str(receipt.attempts) if receipt.attempts else None),
        ("counts", ", ".join(f"{count} {word}" for word, count in receipt.counts.items())),
        ("error", receipt.error),
    ]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
