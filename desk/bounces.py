"""A delivery report: it belongs to the mail it reports on, never to a new record (A39, fault 8)."""

from __future__ import annotations

from desk.apply import apply
from desk.arrival import Arrival
from desk.change import Change
from desk.thread import ours, verified
from desk.working import Working
from incidents.signal import Disposition, Mail
from incidents.timeline import Entry, EntryKind, Value, Values


def take_bounce(working: Working, mail: Mail, arrival: Arrival) -> tuple[Disposition, int | None, str]:
    """Put a report on the timeline of its record; a permanent failure stops mail to that address.

    Only to an address of the person whom the mail was for: whoever has one mail of ours can write a report.
    """
    own = ours(mail.bounced_message_id, working.desk)
    token = None if own is None else verified(own[0], working)
    incident = None if token is None else working.incident(token.record)
    if own is None or token is None or incident is None:
        return Disposition.UNMATCHED, None, "bounce_of_unknown_mail"
    reported: list[Value] = [
        {"recipient": bounce.recipient, "dsn": bounce.dsn, "hard": bounce.hard, "reason": bounce.reason}
        for bounce in mail.bounce or ()
    ]
    values: Values = {"outbox": own[1], "reported": reported, "receipt": arrival.id}
    entry = Entry(EntryKind.DELIVERY, working.desk.machine.person, values, arrival.received_at)
    apply(working, Change(incident, arrival.received_at, entries=[entry]))
    for bounce in mail.bounce or ():
        working.bounced.append((working.ids.row(), own[1], bounce.dsn, bounce.reason))
        if bounce.hard:
            working.suppressed[bounce.recipient, token.person] = f"{bounce.dsn} {bounce.reason}".strip()
    return Disposition.FOLDED, incident.id, "bounce"
