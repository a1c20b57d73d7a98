"""``triagectl incident timeline``: what happened, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.output import local, say_json, say_table
from daemon.commands.refusals import NotFound
from daemon.commands.session import Session, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from store.listing.timeline import EntryShown


@command(app, "timeline", examples=["triagectl incident timeline INC-1042"])
def timeline(session: Session, *, ref: RefArgument) -> None:
    """What happened, in order. What was written down more than 5 minutes after it happened is marked late."""
    from daemon.commands.shapes import entry_shape

    entries, names = _load(session, ref)
    if session.as_json:
        say_json({"items": [entry_shape(entry) for entry in entries], "next": None})
        return
    say_table(("when", "who", "what"), _rows(entries, names), empty="Nothing is written here.")


def _load(session: Session, ref: str) -> tuple[Sequence[EntryShown], Mapping[int, str]]:
    from daemon.commands.incident.entries import mentioned
    from daemon.commands.shapes import who
    from store.listing.incidents import find_incident, refs_of
    from store.listing.people import people_by_id
    from store.listing.timeline import list_timeline

    with session.reading() as connection:
        incident = find_incident(connection, number_of(ref))
        if incident is None:
            raise NotFound(f"There is no record {ref}; `triagectl incident list --state any` shows all")
        entries = list_timeline(connection, incident.id)
        ids = mentioned(entries)
        people = people_by_id(connection, ids)
        names = {number: who(person) or "" for number, person in people.items()}
        return entries, {**names, **refs_of(connection, ids)}


def _rows(entries: Sequence[EntryShown], names: Mapping[int, str]) -> Iterator[tuple[str | None, ...]]:
    """An entry's lines, with instant and author at the first."""
    from daemon.commands.incident.entries import in_words
    from daemon.commands.shapes import who

    for entry in entries:
        first, *others = in_words(entry, names).split("\n")
        late = f" (late, written {local(entry.recorded_at)})" if entry.late else ""
        yield local(entry.occurred_at), who(entry.author), f"{entry.seq}. {first}{late}"
        for line in others:
            if line.strip():
                yield None, None, f"   {line}"
