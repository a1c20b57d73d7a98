"""``triagectl signal list``: what came in, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.command import command
from daemon.commands.output import local, say_json, say_table
from daemon.commands.paging import AllOption, CursorOption, LimitOption, read_pages, say_more
from daemon.commands.refusals import NotFound, Refused
from daemon.commands.session import Session, number_of
from daemon.commands.signal.app import app

if TYPE_CHECKING:
    from store.listing.signals import Asked, SignalLine

_COLUMNS = ("signal", "receipt", "received", "source", "status", "state", "disposition", "incident", "title")
_STATES = ("waiting", "worked", "quarantined", "discarded")

DispositionOption = Annotated[
    str | None,
    typer.Option("--disposition", metavar="WORD", show_default=False, help="Only what ended so, such as spam."),
]
StateOption = Annotated[
    str | None,
    typer.Option("--state", metavar="STATE", show_default=False, help=f"Only this state: {', '.join(_STATES)}."),
]
IncidentOption = Annotated[
    str | None, typer.Option("--incident", metavar="REF", show_default=False, help="Only what went to this record.")
]


@command(
    app, "list", examples=["triagectl signal list --state quarantined", "triagectl signal list --incident INC-1042"]
)
def list_(
    session: Session, *, disposition: DispositionOption = None, state: StateOption = None,
    incident: IncidentOption = None, limit: LimitOption = 50, cursor: CursorOption = None,
    everything: AllOption = False,
) -> None:  # fmt: skip
    """What came in, the newest first. Receipts that no signal was made of yet stand among them as receipt:N."""
    from daemon.commands.shapes import page_shape, signal_shape
    from store.listing.signals import list_signals

    asked = _asked(session, disposition, state=state, incident=incident)
    with session.reading() as connection:
        page = read_pages(
            lambda place: list_signals(connection, asked, limit=limit, cursor=place),
            cursor=cursor, everything=everything,
        )  # fmt: skip
    if session.as_json:
        say_json(page_shape(page, signal_shape))
        return
    say_table(_COLUMNS, [_row(line) for line in page.items], empty=_empty(asked))
    say_more(page)


def _asked(session: Session, disposition: str | None, *, state: str | None, incident: str | None) -> Asked:
    from incidents.signal import Disposition
    from store.listing.incidents import find_incident
    from store.listing.signals import Asked

    if disposition is not None and disposition not in tuple(Disposition):
        raise Refused(f"{disposition!r} is no disposition; it is one of {', '.join(Disposition)}")
    if state is not None and state not in _STATES:
        raise Refused(f"{state!r} is no state of a receipt; it is one of {', '.join(_STATES)}")
    if incident is None:
        return Asked(disposition, state)
    with session.reading() as connection:
        record = find_incident(connection, number_of(incident))
    if record is None:
        raise NotFound(f"There is no record {incident}")
    return Asked(disposition, state, record.id)


def _row(line: SignalLine) -> tuple[str | None, ...]:
    return (
        line.name, str(line.receipt), local(line.received_at), line.source, line.status, line.state, line.disposition,
        line.incident, line.title or line.error,
    )  # fmt: skip


def _empty(asked: Asked) -> str:
    if asked.state == "quarantined":
        return "The quarantine is empty."
    if asked.state or asked.disposition or asked.incident:
        return "No signal fits. `triagectl signal list` shows all."
    return "Nothing has come in yet. Send a mail to one of the desk's addresses, or post an alert."
