"""``triagectl incident list``: the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.commands.command import command
from daemon.commands.incident.app import app
from daemon.commands.output import say_json, say_table
from daemon.commands.paging import AllOption, CursorOption, LimitOption, read_pages, say_more
from daemon.commands.refusals import Refused
from daemon.commands.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from store.listing.incidents import IncidentLine, Wanted

_COLUMNS = ("ref", "priority", "severity", "title", "state", "team", "assignee", "due")
_STATES = ("new", "working", "waiting_customer", "waiting_vendor", "restored", "resolved", "closed")

StateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state", metavar="STATE", show_default=False,
        help="A state, `open` or `any`; may be given again. Open when left out.",
    ),
]  # fmt: skip
TeamOption = Annotated[
    str | None, typer.Option("--team", metavar="TEAM", show_default=False, help="Only what this team has.")
]
PriorityOption = Annotated[
    str | None, typer.Option("--priority", metavar="P1", show_default=False, help="Only this priority.")
]


@command(
    app, "list", examples=["triagectl incident list", "triagectl incident list --state any --team platform --json"]
)
def list_(
    session: Session, *, state: StateOption = None, team: TeamOption = None, priority: PriorityOption = None,
    limit: LimitOption = 50, cursor: CursorOption = None, everything: AllOption = False,
) -> None:  # fmt: skip
    """The queue: what has to happen first stands first."""
    from daemon.commands.shapes import incident_shape, page_shape
    from store.listing.incidents import list_incidents

    wanted = _wanted(state or ["open"], team, priority)
    with session.reading() as connection:
        page = read_pages(
            lambda place: list_incidents(connection, wanted, limit=limit, cursor=place),
            cursor=cursor, everything=everything,
        )  # fmt: skip
    if session.as_json:
        say_json(page_shape(page, incident_shape))
        return
    say_table(_COLUMNS, [_row(line, session.now) for line in page.items], empty=_empty(state, team, priority))
    say_more(page)


def _wanted(states: list[str], team: str | None, priority: str | None) -> Wanted:
    from incidents.assessment import PRIORITIES
    from incidents.incident import OPEN_STATES
    from store.listing.incidents import Wanted

    chosen: list[str] = []
    for state in states:
        if state not in (*_STATES, "open", "any"):
            raise Refused(f"{state!r} is no state; it is one of {', '.join(_STATES)}, or open, or any")
        chosen += OPEN_STATES if state == "open" else _STATES if state == "any" else (state,)
    if priority is not None and priority.upper() not in PRIORITIES:
        raise Refused(f"{priority!r} is no priority; it is one of {', '.join(PRIORITIES)}")
    return Wanted(tuple(dict.fromkeys(chosen)), team, priority and priority.upper())


def _row(line: IncidentLine, now: datetime) -> tuple[str | None, ...]:
    from daemon.commands.clocks import due_in_words
    from daemon.commands.shapes import who

    one = line.incident
    severity = f"{line.severity.level}, needs a person" if line.severity.needs_person else line.severity.level
    return (
        one.ref, one.priority, severity, one.title, one.state, one.team, who(line.assignee), due_in_words(line, now),
    )  # fmt: skip


def _empty(state: list[str] | None, team: str | None, priority: str | None) -> str:
    if state or team or priority:
        return "Nothing fits. `triagectl incident list --state any` shows everything."
    return "Nothing is open. `triagectl incident list --state any` shows what is over."
