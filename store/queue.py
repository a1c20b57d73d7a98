"""Where records stand in the queue, found anew from their clocks: for what changes those by other means than a turn."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, case, func, select, update

from desk.clocks import PROMISED
from incidents.incident import OPEN_STATES
from store.tables.incidents import CLOSED, NO_CLOCK, RESOLVED, incidents
from store.tables.targets import targets

_NEXT = (
    select(func.min(targets.c.due_at))
    .where(targets.c.subject == incidents.c.id, targets.c.state == "running", targets.c.name.startswith(PROMISED))
    .scalar_subquery()
)
#: What `store.rows` writes, as the database sees it.
PLACE = case(
    (incidents.c.state.in_(OPEN_STATES), func.coalesce(_NEXT, NO_CLOCK)),
    (incidents.c.closed_at.is_(None), RESOLVED),
    else_=CLOSED,
)


def place_again(connection: Connection, records: Collection[int]) -> None:
    """Put records where their clocks say, as changed ones: a turn that has loaded them before is taken again."""
    wanted = update(incidents).where(incidents.c.id.in_(records))
    connection.execute(wanted.values(due_at=PLACE, version=incidents.c.version + 1))
