"""Take a turn: decide every item of a batch of receipts, one after another, against one working set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from desk.alerts import take_alert
from desk.arrival import Arrival
from desk.context import Desk
from desk.mails import MOST_REFERENCES, take_mail
from desk.thread import ours, referred, tagged_number, tokens_of
from desk.working import SignalRow, Working
from incidents.signal import Alert, Disposition, Mail, Refused
from kit.tokens import Purpose


@dataclass(slots=True)
class Needs:
    """What a batch may touch, to be loaded in bulk: fold keys, records by id and by number, people, signal keys."""

    keys: set[str] = field(default_factory=set)
    records: set[int] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    signal_keys: set[bytes] = field(default_factory=set)


def needs_of(arrivals: Sequence[Arrival], desk: Desk) -> Needs:
    """What the items of these receipts may touch."""
    needs = Needs()
    for arrival in arrivals:
        prefix = f"alert:{desk.group(arrival.source)}:"
        for item in arrival.items:
            if isinstance(item, Alert):
                if item.key is not None:
                    needs.keys.add(prefix + item.key)
            elif isinstance(item, Mail):
                _add_mail(needs, item, arrival, desk)
    return needs


def _add_mail(needs: Needs, mail: Mail, arrival: Arrival, desk: Desk) -> None:
    own = (mail.message_id,) if mail.message_id else ()
    needs.keys.add(f"receipt:{arrival.id}")
    needs.keys.update(f"mail:{message_id}" for message_id in (*own, *list(referred(mail))[:MOST_REFERENCES]))
    if arrival.signal_key is not None:
        needs.signal_keys.add(arrival.signal_key)
    tokens = [text for text, _ in tokens_of(mail, desk)]
    bounced = ours(mail.bounced_message_id, desk)
    for text in (*tokens, *((bounced[0],) if bounced else ())):
        token = desk.keyring.verify(text, Purpose.REPLY, arrival.received_at)
        if token is not None:
            needs.records.add(token.record)
    number = tagged_number(mail.subject)
    if number is not None:
        needs.numbers.add(number)
    for one in (*((mail.sender,) if mail.sender else ()), *mail.copied):
        needs.addresses.add(one.address)


def take(working: Working, arrivals: Sequence[Arrival]) -> None:
    """Decide all items; what they change is in the working set afterwards."""
    for arrival in arrivals:
        working.counts.setdefault(arrival.id, {})
        for item in arrival.items:
            if isinstance(item, Alert):
                take_alert(working, item, arrival)
            elif isinstance(item, Mail):
                take_mail(working, item, arrival)
            else:
                _keep_refused(working, item, arrival)


def _keep_refused(working: Working, item: Refused, arrival: Arrival) -> None:
    """An item that could not be read is kept as a signal that says why."""
    working.add_signal(
        SignalRow(
            working.ids.row(), arrival.id, arrival.source, None, arrival.received_at, f"{item.path}: {item.why}",
            "refused", Disposition.REFUSED, None, reason="unreadable_item",
        )
    )  # fmt: skip
