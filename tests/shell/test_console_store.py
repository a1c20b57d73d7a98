"""The console's pages over a real store: what links and the list read, and the one thing a link changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from daemon.acts import Acts
from daemon.desks import agent_author, make_desk
from daemon.pages import StorePages
from desk.apply import apply
from desk.change import Change
from desk.context import Desk
from desk.take import Needs
from incidents.incident import Incident
from incidents.person import Author, Person
from kit.tokens import Purpose, Token
from rules.load import PolicyFile, load_policy
from rules.policy import Policy
from store.engine import Store
from store.errors import Collision
from store.saving import rows_of, save
from store.tables.incidents import incidents
from store.tables.timeline import timeline, timeline_values

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PACK = Path(__file__).parents[2] / "rules" / "packs" / "lean"


@pytest.fixture(scope="session")
def lean() -> Policy:
    files = {path.name: PolicyFile(path.name, path.read_text()) for path in PACK.glob("*.yml")}
    loaded = load_policy(files, framework="lean", zone=ZoneInfo("Europe/Berlin"))
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


@dataclass
class Set:
    """A desk on a store, with its pages."""

    store: Store
    desk: Desk
    acts: Acts
    pages: StorePages

    def agent(self, number: int = 0) -> Person:
        return list(self.desk.agents.values())[number]

    def author(self, number: int = 0) -> Author:
        author = agent_author(self.desk, self.agent(number))
        assert author is not None
        return author

    def open(self, title: str = "Disk is full", now: datetime = NOON) -> Incident:
        return self.acts.open(
            by=self.author(), now=now, title=title, text="It is.", requester="ann@example.com", fields={}
        )

    def link(self, record: int, person: int, *, now: datetime = NOON, purpose: Purpose = Purpose.ACKNOWLEDGE) -> str:
        return self.desk.keyring.sign(Token(purpose, record, person, now + timedelta(days=14)))

    def entries(self, record: int) -> list[str]:
        with self.store.reading() as connection:
            return list(connection.execute(select(timeline.c.kind).where(timeline.c.subject == record)).scalars())


@pytest.fixture
def desk_on(lean: Policy) -> Callable[[Store], Set]:
    def make(store: Store) -> Set:
        desk = make_desk(
            store, lean, domain="desk.example.com", addresses={"support@example.com": "support"}, groups={}
        )
        acts = Acts(store, lambda: desk)
        return Set(store, desk, acts, StorePages(store, acts, lambda: desk))

    return make


@pytest.fixture
def here(store: Store, desk_on: Callable[[Store], Set]) -> Set:
    return desk_on(store)


def test_a_link_is_good_for_its_person_and_record(here: Set) -> None:
    record, agent = here.open("Payments fail"), here.agent(1)
    entries = here.entries(record.id)
    asked = here.pages.asked(here.link(record.id, agent.id), NOON)
    assert asked is not None
    assert asked.person == agent.name
    assert (asked.shown.incident.title, asked.shown.state) == ("Payments fail", "New")
    assert asked.shown.requester_address == "ann@example.com"
    assert here.entries(record.id) == entries


def test_pressing_makes_the_agent_the_assignee_and_stops_the_clock_of_the_answer(here: Set) -> None:
    """Acknowledged once: a second press of the same link writes nothing."""
    record, agent = here.open(), here.agent(1)
    token = here.link(record.id, agent.id)
    asked = here.pages.asked(token, NOON)
    assert asked is not None
    first = here.pages.acknowledge(token, asked.form, NOON)
    entries = here.entries(record.id)
    second = here.pages.acknowledge(token, asked.form, NOON + timedelta(minutes=1))
    assert first is not None
    assert (first.by, first.at, first.yours, first.now_done) == (agent.name, NOON, True, True)
    assert first.shown.incident.assignee == agent.id
    assert first.shown.assignee == agent.name
    assert not [one for one in first.shown.targets if one.name == "sla.respond"]
    assert second is not None
    assert (second.at, second.yours, second.now_done) == (NOON, True, False)
    assert here.entries(record.id) == entries


def test_what_was_pressed_is_on_the_timeline_with_its_channel(here: Set) -> None:
    record, agent = here.open(), here.agent(1)
    token = here.link(record.id, agent.id)
    asked = here.pages.asked(token, NOON)
    assert asked is not None
    here.pages.acknowledge(token, asked.form, NOON)
    with here.store.reading() as connection:
        query = select(timeline_values.c["values"]).where(timeline_values.c.subject == record.id)
        values = [json.loads(one) for one in connection.execute(query).scalars()]
    assert [one["channel"][1] for one in values if "channel" in one] == ["link"]


def test_a_teams_address_acknowledges_without_owning_it(here: Set) -> None:
    record, team = here.open(), next(iter(here.desk.team_people.values()))
    token = here.link(record.id, team.id)
    asked = here.pages.asked(token, NOON)
    assert asked is not None
    done = here.pages.acknowledge(token, asked.form, NOON)
    assert done is not None
    assert (done.by, done.yours, done.shown.incident.assignee) == (team.name, True, None)


def test_another_person_was_first(here: Set) -> None:
    record, other = here.open(), here.agent(0)
    here.acts.acknowledge(record.ref, by=here.author(0), now=NOON, channel="cli", assignable=True)
    token = here.link(record.id, here.agent(1).id)
    asked = here.pages.asked(token, NOON)
    assert asked is not None
    assert (asked.yours, asked.shown.acknowledged_by) == (False, other.name)
    done = here.pages.acknowledge(token, asked.form, NOON + timedelta(minutes=1))
    assert done is not None
    assert (done.by, done.at, done.yours, done.now_done) == (other.name, NOON, False, False)


def test_the_link_of_a_merged_record_leads_on_to_the_one_that_stays(here: Set) -> None:
    """Whoever presses has what is still to be done."""
    record, stays, agent = here.open("Payments fail"), here.open("Checkout fails"), here.agent(1)
    here.acts.merge(record.ref, into=stays.ref, by=here.author(), now=NOON, reason="the same fault")
    token = here.link(record.id, agent.id)
    asked = here.pages.asked(token, NOON)
    assert asked is not None
    assert asked.shown.incident.ref == stays.ref
    done = here.pages.acknowledge(token, asked.form, NOON)
    assert done is not None
    assert (done.shown.incident.ref, done.by, done.now_done) == (stays.ref, agent.name, True)
    assert "acknowledged" in here.entries(stays.id)


def test_a_link_opens_the_words_of_its_own_record_alone(here: Set) -> None:
    """Who is asked about a confidential record may read it, and not the one that it was merged into."""
    record, stays, agent = here.open(), here.open(), here.agent(1)
    with here.store.writing() as connection:
        connection.execute(update(incidents).values(confidential=1))
    token = here.link(record.id, agent.id)
    before = here.pages.asked(token, NOON)
    here.acts.merge(record.ref, into=stays.ref, by=here.author(), now=NOON, reason="the same fault")
    after = here.pages.asked(token, NOON)
    assert before is not None
    assert after is not None
    assert (before.shown.incident.confidential, after.shown.incident.confidential) == (False, True)


def test_bad_links_and_forms_do_nothing(here: Set) -> None:
    """A19: forged, expired, of another purpose, of somebody unknown, or with the form of another link."""
    record, other, agent = here.open(), here.open(), here.agent(1)
    good = here.link(record.id, agent.id)
    asked = here.pages.asked(good, NOON)
    foreign = here.pages.asked(here.link(other.id, agent.id), NOON)
    assert asked is not None
    assert foreign is not None
    bad_links = [
        "", "x" * 40, good[:-1] + ("a" if good[-1] != "a" else "b"), here.link(record.id, 4_000_000),
        here.link(4_000_000, agent.id), here.link(record.id, agent.id, purpose=Purpose.REPLY),
        here.link(record.id, agent.id, purpose=Purpose.FORM),
        here.link(record.id, agent.id, now=NOON - timedelta(days=15)),
    ]  # fmt: skip
    for token in bad_links:
        assert here.pages.asked(token, NOON) is None
        assert here.pages.acknowledge(token, asked.form, NOON) is None
    for form in ("", good, foreign.form):
        assert here.pages.acknowledge(good, form, NOON) is None
    assert here.pages.acknowledge(good, asked.form, NOON + timedelta(hours=14)) is None
    assert "acknowledged" not in here.entries(record.id)


def test_the_list_is_in_the_order_of_clocks_and_counts_all(here: Set) -> None:
    later = here.open("Later", now=NOON)
    sooner = here.open("Sooner", now=NOON - timedelta(hours=3))
    closed = here.open("Closed")
    here.acts.close(closed.ref, by=here.author(), now=NOON, reason="not ours")
    queue = here.pages.open_records(1, NOON)
    assert [one.incident.ref for one in queue.shown] == [sooner.ref]
    assert queue.open == 2
    everything = here.pages.open_records(10, NOON)
    assert [one.incident.ref for one in everything.shown] == [sooner.ref, later.ref]
    far = here.pages.open_records(10, NOON + timedelta(days=90))
    assert (far.overdue, far.due_soon) == (2, 0)


def test_of_two_changes_at_once_the_later_collides(here: Set) -> None:
    """Whoever loaded a record before another changed it must load it again, or would undo the change."""
    record = here.open()
    needs = Needs(numbers={record.number})
    first, second = here.acts._load(needs, now=NOON), here.acts._load(needs, now=NOON)
    for working, title in ((first, "First"), (second, "Second")):
        apply(working, Change(replace(working.incidents[record.id], title=title), NOON))
    with here.store.writing() as connection:
        save(connection, rows_of(first))
    with pytest.raises(Collision), here.store.writing() as connection:
        save(connection, rows_of(second))
