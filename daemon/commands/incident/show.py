"""``triagectl incident show``: one record and all that hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.commands.command import command
from daemon.commands.incident.app import RefArgument, app
from daemon.commands.output import local, say, say_facts, say_json, say_table
from daemon.commands.refusals import NotFound
from daemon.commands.session import Session, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from incidents.person import Person
    from store.listing.incidents import IncidentShown


@command(app, "show", examples=["triagectl incident show INC-1042", "triagectl incident show INC-1042 --json"])
def show(session: Session, *, ref: RefArgument) -> None:
    """One record: what it is, whose, by when, and what it belongs to."""
    from daemon.commands.shapes import shown_shape

    shown = load_shown(session, ref)
    if session.as_json:
        say_json(shown_shape(shown))
        return
    say_shown(shown)


def load_shown(session: Session, ref: str) -> IncidentShown:
    """The record that a reference names. Raises `NotFound`."""
    from store.listing.incidents import show_incident

    with session.reading() as connection:
        shown = show_incident(connection, number_of(ref))
    if shown is None:
        raise NotFound(f"There is no record {ref}; `triagectl incident list --state any` shows all")
    return shown


def say_shown(shown: IncidentShown) -> None:
    """The record for people."""
    one = shown.line.incident
    say(f"{one.ref}  {one.title}")
    say_facts(_facts(shown))
    clocks = [(target.name, target.state, local(target.due_at), local(target.met_at)) for target in shown.targets]
    if clocks:
        say("")
        say_table(("clock", "state", "due", "met"), clocks, empty="")
    if shown.related:
        say("")
        say_table(
            ("relation", "record", "title"),
            [(_relation(link.relation, outward=link.outward), link.ref, link.title) for link in shown.related],
            empty="",
        )
    say("")
    say(f"`triagectl incident why {one.ref}` tells how each field got its value, `timeline` what happened.")


def _facts(shown: IncidentShown) -> Iterator[tuple[str, str | None]]:
    from daemon.commands.shapes import who

    line, one = shown.line, shown.line.incident
    yield "state", one.state
    yield "kind", one.kind
    yield "priority", f"{one.priority}, impact {one.impact}, urgency {one.urgency}"
    yield "severity", line.severity.level + (", needs a person" if line.severity.needs_person else "")
    yield "service", one.service
    yield "category", one.category
    yield "team", f"{one.team}, tier {one.tier}"
    yield "assignee", who(line.assignee) or "nobody"
    yield "source", one.source
    yield "requester", _contact(line.requester)
    yield "signals", str(line.signals)
    yield "opened", local(one.opened_at)
    yield "acknowledged", _by(one.acknowledged_at, shown.acknowledged_by)
    yield "restored", local(one.restored_at)
    yield "resolved", local(one.resolved_at)
    yield "resolution", one.resolution
    yield "closed", local(one.closed_at)
    yield "updated", local(one.updated_at)
    yield "resource", one.resource
    yield "url", one.url
    yield "labels", "\n".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
    watching = [other for other in shown.people if other.role == "watcher"]
    yield "watchers", ", ".join(_contact(other.person) or other.team for other in watching)


def _contact(person: Person | None) -> str | None:
    return None if person is None else f"{person.name} <{person.address}>" if person.address else person.name


def _by(instant: datetime | None, person: Person | None) -> str | None:
    from daemon.commands.shapes import who

    return None if instant is None else f"{local(instant)} by {who(person) or 'a machine'}"


def _relation(relation: str, *, outward: bool) -> str:
    return relation if outward else f"{relation} (from there)"
