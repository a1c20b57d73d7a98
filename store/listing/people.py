"""Who is who, for lists: people by id, each with the address that takes their mail."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from incidents.person import Person
from store.tables.people import addresses, people


def people_by_id(connection: Connection, ids: Iterable[int | None]) -> dict[int, Person]:
    """The people with these ids; an address that takes mail goes before one that does not."""
    wanted = sorted({number for number in ids if number})
    query = select(
        people.c.id, people.c.name, people.c.handle, people.c.language, addresses.c.address, addresses.c.suppressed_at
    ).join_from(people, addresses, addresses.c.person == people.c.id, isouter=True)
    found: dict[int, Person] = {}
    for start in range(0, len(wanted), 1000):
        for row in connection.execute(query.where(people.c.id.in_(wanted[start : start + 1000]))):
            one = Person(row.id, row.name, row.handle, row.address, row.language, row.suppressed_at is not None)
            known = found.get(one.id)
            if known is None or (known.suppressed, known.address or "") > (one.suppressed, one.address or ""):
                found[one.id] = one
    return found
