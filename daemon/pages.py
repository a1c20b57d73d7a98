"""What the console's pages read and do, over the store: a handful of queries a page, however much is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, ScalarSelect, bindparam, func, select

from daemon.acts import Acts
from daemon.desks import agent_author
from desk.context import Desk
from desk.ports import Acknowledged, Asked, Queue, Shown
from incidents.person import Author, Person
from kit.instants import to_micros
from kit.tokens import Purpose, Token
from rules.policy import Policy
from store.engine import Store
from store.listing.incidents import IncidentLine, lines_of, stays_of
from store.listing.people import people_by_id
from store.tables.incidents import NO_CLOCK, QUEUE, incidents

#: How long a form may stand open before its button is pressed.
FORM_FOR = timedelta(hours=12)
_HOUR = timedelta(hours=1)
_TEAM_ROLES = frozenset({"agent"})


def _counted(*where: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many open records there are of which all this is true."""
    return select(func.count()).where(incidents.c.due_at <= NO_CLOCK, *where).scalar_subquery()


_QUEUE = select(incidents.c.id).where(incidents.c.due_at <= NO_CLOCK).order_by(*QUEUE).limit(bindparam("limit"))
#: Each walks a part of the index that the queue is read from, and no row.
_COUNTS = select(
    _counted().label("open"),
    _counted(incidents.c.due_at <= bindparam("now")).label("overdue"),
    _counted(incidents.c.due_at > bindparam("now"), incidents.c.due_at <= bindparam("soon")).label("due_soon"),
    _counted(incidents.c.needs_person == 1).label("needs_person"),
)


class StorePages:
    """The pages of one desk. ``desk`` gives it as its policy stands now."""

    def __init__(self, store: Store, acts: Acts, desk: Callable[[], Desk]) -> None:
        self._store, self._acts, self._desk = store, acts, desk

    def open_records(self, limit: int, now: datetime) -> Queue:
        """The open records, the next clock first; those without one last."""
        instants = {"now": to_micros(now), "soon": to_micros(now + _HOUR)}
        with self._store.reading() as connection:
            shown = _show(connection, self._desk().policy, list(connection.execute(_QUEUE, {"limit": limit}).scalars()))
            counts = connection.execute(_COUNTS, instants).one()
        return Queue(shown, counts.open, counts.overdue, counts.due_soon, counts.needs_person)

    def asked(self, token: str, now: datetime) -> Asked | None:
        """What a link asks; None when it is not good (any more)."""
        link = self._desk().keyring.verify(token, Purpose.ACKNOWLEDGE, now)
        author = None if link is None else self._author(link.person)
        shown = None if link is None else self._one(link.record)
        if link is None or author is None or shown is None:
            return None
        expires_at = now + FORM_FOR if link.expires_at is None else min(now + FORM_FOR, link.expires_at)
        form = self._desk().keyring.sign(Token(Purpose.FORM, link.record, link.person, expires_at))
        return Asked(shown, author.name, form, yours=shown.incident.acknowledged_by == author.person)

    def acknowledge(self, token: str, form: str, now: datetime) -> Acknowledged | None:
        """Acknowledge for the person whom the link was sent to; None when link or form is not good (any more)."""
        keyring = self._desk().keyring
        link, nonce = keyring.verify(token, Purpose.ACKNOWLEDGE, now), keyring.verify(form, Purpose.FORM, now)
        if link is None or nonce is None or (nonce.record, nonce.person) != (link.record, link.person):
            return None
        author, before = self._author(link.person), self._one(link.record)
        if author is None or before is None:
            return None
        if before.incident.acknowledged_at is None and before.incident.is_open:
            self._acts.acknowledge(
                before.incident.ref, by=author, now=now, channel="link", assignable=author.person in self._agents()
            )
        return _outcome(before, self._one(link.record) or before, author)

    def _author(self, person: int) -> Author | None:
        """Who clicks: an agent of the policy as it stands now, or a team's own address; nobody else is asked."""
        desk = self._desk()
        agent = next((one for one in desk.agents.values() if one.id == person), None)
        if agent is not None:
            return agent_author(desk, agent)
        team = next((one for one in desk.team_people.values() if one.id == person), None)
        return None if team is None else Author(team.id, team.name, _TEAM_ROLES, team=team.name)

    def _agents(self) -> set[int]:
        return {one.id for one in self._desk().agents.values()}

    def _one(self, record: int) -> Shown | None:
        """The record that a link is about; once it was merged, the one that stays.

        Who is asked about a record may read its words, confidential or not; of the other that was never said.
        """
        with self._store.reading() as connection:
            stays = stays_of(connection, record)
            shown = next(iter(_show(connection, self._desk().policy, [stays])), None)
        if shown is None or stays != record:
            return shown
        return shown._replace(incident=replace(shown.incident, confidential=False))


def _outcome(before: Shown, after: Shown, author: Author) -> Acknowledged:
    incident = after.incident
    yours = incident.acknowledged_by == author.person
    now_done = yours and before.incident.acknowledged_at is None
    return Acknowledged(after, after.acknowledged_by, incident.acknowledged_at, yours=yours, now_done=now_done)


# ---------------------------------------------------------------------- records as pages show them


def _show(connection: Connection, policy: Policy, wanted: list[int]) -> list[Shown]:
    """These records in this order, in a handful of queries for all."""
    rows = connection.execute(select(incidents).where(incidents.c.id.in_(wanted))).all() if wanted else ()
    lines = {line.incident.id: line for line in lines_of(connection, rows)}
    have_it = people_by_id(connection, [line.incident.acknowledged_by for line in lines.values()])
    return [_shown(lines[number], have_it, policy) for number in wanted if number in lines]


def _shown(line: IncidentLine, have_it: Mapping[int, Person], policy: Policy) -> Shown:
    incident, requester = line.incident, line.requester
    state = policy.lifecycles[incident.kind].states.get(incident.state)
    has_it = have_it.get(incident.acknowledged_by or 0)
    return Shown(
        incident,
        state=incident.state if state is None else state.label,
        assignee=None if line.assignee is None else line.assignee.name,
        requester=None if requester is None else requester.name,
        requester_address=None if requester is None else requester.address,
        acknowledged_by=None if has_it is None else has_it.name,
        signals=line.signals,
        targets=line.promises,
    )
