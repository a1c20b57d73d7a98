"""``triagectl outbox list``: notifications, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.command import command
from daemon.commands.outbox.app import app
from daemon.commands.output import local, say, say_json, say_table
from daemon.commands.paging import AllOption, CursorOption, LimitOption, read_pages, say_more
from daemon.commands.refusals import Refused
from daemon.commands.session import Session

if TYPE_CHECKING:
    from store.listing.outbox import NotificationLine

_COLUMNS = ("id", "subject", "kind", "recipient", "state", "attempts", "created", "next try", "reason")

StateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state", metavar="STATE", show_default=False, help="Only this state, such as dead; may be given again."
    ),
]


@command(app, "list", examples=["triagectl outbox list --state dead", "triagectl outbox list --all --json"])
def list_(
    session: Session, *, state: StateOption = None, limit: LimitOption = 50, cursor: CursorOption = None,
    everything: AllOption = False,
) -> None:  # fmt: skip
    """Notifications, the newest first: one for each person and channel. Says when deliveries are held."""
    from daemon.commands.outbox.hold import held_sentence, hold_shape
    from daemon.commands.shapes import notification_shape, page_shape
    from incidents.effects import OutboxState
    from store.holding import load_hold
    from store.listing.outbox import list_outbox

    for one in state or ():
        if one not in tuple(OutboxState):
            raise Refused(f"{one!r} is no state of a notification; it is one of {', '.join(OutboxState)}")
    with session.reading() as connection:
        held = load_hold(connection)
        page = read_pages(
            lambda place: list_outbox(connection, states=state or (), limit=limit, cursor=place),
            cursor=cursor, everything=everything,
        )  # fmt: skip
    if session.as_json:
        say_json({**page_shape(page, notification_shape), "held": hold_shape(held)})
        return
    if held is not None:
        say(held_sentence(held))
    empty = "Nothing fits." if state else "Nobody was told anything yet."
    say_table(_COLUMNS, [_row(line) for line in page.items], empty=empty)
    say_more(page)


def _row(line: NotificationLine) -> tuple[str | None, ...]:
    return (
        str(line.id), line.subject, line.kind, line.recipient, line.state, str(line.attempts), local(line.created_at),
        local(line.next_at), line.reason,
    )  # fmt: skip
