"""The rows of people whom the desk itself knows: agents and teams of the policy, sources, and the desk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from incidents.person import Person
from store.bulk import insert_rows, write_rows
from store.counters import reserve
from store.tables.people import people

_TAKE_ADDRESS = (
    "INSERT INTO addresses (address, person, verified_at, suppressed_at, reason) VALUES (?, ?, NULL, NULL, NULL)"
    " ON CONFLICT (address) DO UPDATE SET person = excluded.person WHERE addresses.person <> excluded.person"
)


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who must have a row: found by handle, which is unique."""

    handle: str
    name: str
    address: str | None = None
    language: str | None = None
    zone: str | None = None


def find_people(connection: Connection, handles: Iterable[str]) -> dict[str, Person]:
    """The rows of these handles, by handle."""
    query = select(people.c.id, people.c.name, people.c.handle, people.c.language)
    found = connection.execute(query.where(people.c.handle.in_(list(handles))))
    return {row.handle: Person(row.id, row.name, row.handle, None, row.language) for row in found}


def ensure_people(connection: Connection, wanted: Sequence[Known]) -> dict[str, Person]:
    """Give everybody a row with the name and address that policy says; the rows, by handle."""
    there = find_people(connection, [one.handle for one in wanted])
    new = [one for one in wanted if one.handle not in there]
    ids = reserve(connection, "record", len(new)) if new else ()
    insert_rows(
        connection, people,
        [(number, one.handle, one.name, one.language, one.zone, None) for number, one in zip(ids, new, strict=True)],
    )  # fmt: skip
    numbers = {handle: person.id for handle, person in there.items()}
    numbers |= {one.handle: number for number, one in zip(ids, new, strict=True)}
    for one in wanted:
        if one.handle in there and there[one.handle].name != one.name:
            connection.execute(update(people).where(people.c.handle == one.handle).values(name=one.name))
    taken = [(one.address, numbers[one.handle]) for one in wanted if one.address]
    write_rows(connection, _TAKE_ADDRESS, sorted(taken))
    return {one.handle: Person(numbers[one.handle], one.name, one.handle, one.address, one.language) for one in wanted}
