"""Acting on one record: load it, decide, save it in one commit; the same for the shell, a link and the console."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from daemon.ids import Ids
from desk.acknowledge import acknowledge
from desk.apply import apply
from desk.assign import assign
from desk.change import Change
from desk.close import close, merge
from desk.context import Desk
from desk.errors import DeskError, Invalid
from desk.escalate import start_escalation
from desk.facts import facts_of
from desk.moving import check_role
from desk.note import note
from desk.open import Opening, open_record
from desk.override import override, replan
from desk.reopen import reopen
from desk.reply import reply
from desk.restore import Resolution, resolve, restore
from desk.take import Needs
from desk.wait import resume, wait
from desk.working import Working
from incidents.incident import Incident, Kind, parse_ref
from incidents.person import Author, Person
from kit.addresses import normal_address
from kit.text import header_text
from rules.facts import Facts
from rules.policy import Policy
from rules.problems import expected
from store.engine import Store
from store.loading import load_assessments, load_budgets, load_keys, load_people, load_records
from store.saving import rows_of, save
from store.write import in_turns

#: How often one act is tried again because the worker or another person was first.
MOST_COLLISIONS = 20


class NotFound(DeskError):
    """There is no such record."""

    code = "desk.not_found"


class Acts:
    """What people do. ``desk`` gives the desk as its policy stands now."""

    def __init__(self, store: Store, desk: Callable[[], Desk]) -> None:
        self._store, self._desk, self._ids = store, desk, Ids(store)
        self._one_at_a_time = threading.Lock()  # pages act in threads, and ids are handed out by one

    # ------------------------------------------------------------------ the one way

    def act(
        self, ref: str, decide: Callable[[Working, Incident], None], *, now: datetime, also: Iterable[str] = (),
        beside: Callable[[Connection], None] = lambda _connection: None,
    ) -> Incident:  # fmt: skip
        """Do ``decide`` to the record that ``ref`` names; ``also`` are further references it touches.

        ``beside`` writes what goes with it in the same commit, and may refuse.
        """
        needs = Needs(numbers={_number(one) for one in (ref, *also)})

        def take() -> Callable[[Connection], Incident]:
            working = self._load(needs, now=now)
            incident = working.incidents.get(working.numbers.get(_number(ref), 0))
            if incident is None:
                raise NotFound(f"There is no record {ref}")
            decide(working, incident)
            rows = rows_of(working)

            def keep(connection: Connection) -> Incident:
                beside(connection)
                save(connection, rows)
                return working.incidents[incident.id]

            return keep

        with self._one_at_a_time:
            return in_turns(self._store, attempts=MOST_COLLISIONS, take=take).value

    def _load(self, needs: Needs, *, now: datetime) -> Working:
        working = Working(self._desk(), self._ids, now)
        with self._store.writing() as connection:
            self._ids.top_up(connection)
        with self._store.reading() as connection:
            load_keys(connection, working, needs)
            load_records(connection, working, working.numbers.values())
            load_people(connection, working, needs)
            load_budgets(connection, working)
            for record in working.numbers.values():
                load_assessments(connection, working, record)
        return working

    # ------------------------------------------------------------------ verbs

    def acknowledge(self, ref: str, *, by: Author, now: datetime, channel: str, assignable: bool = False) -> Incident:
        """Say that ``by`` has it."""

        def decide(working: Working, incident: Incident) -> None:
            change = acknowledge(
                incident, by=by, at=now, policy=working.desk.policy, assignable=assignable, channel=channel
            )
            if change is not None:
                apply(working, change)

        return self.act(ref, decide, now=now)

    def assign(
        self, ref: str, *, by: Author, now: datetime, to: str | None, team: str | None, text: str = ""
    ) -> Incident:
        """Give it to a person (a handle), a team, or both."""

        def decide(working: Working, incident: Incident) -> None:
            person = None if to is None else self._agent(to)
            apply(
                working,
                assign(incident, by=by, at=now, policy=working.desk.policy, to=person, team=team, note=text),
            )

        return self.act(ref, decide, now=now)

    def note(
        self, ref: str, *, by: Author, now: datetime, text: str,
        beside: Callable[[Connection], None] = lambda _connection: None,
    ) -> Incident:  # fmt: skip
        """Write a note; ``beside`` writes what it tells of, in the same commit."""

        def decide(working: Working, incident: Incident) -> None:
            apply(working, note(incident, by=by, at=now, policy=working.desk.policy, text=text))

        return self.act(ref, decide, now=now, beside=beside)

    def reply(self, ref: str, *, by: Author, now: datetime, text: str) -> Incident:
        """Answer whoever asked, and the watchers, by mail."""
        return self._plain(ref, now, lambda working, incident: reply(
            incident, by=by, at=now, policy=working.desk.policy, text=text,
            to=_readers(working, incident, "watcher", "machine"), next_seq=working.last_seq(incident.id) + 1,
        ))  # fmt: skip

    def set(self, ref: str, *, by: Author, now: datetime, field: str, value: str, justification: str) -> Incident:
        """Change a judged field, with justification; promises follow a new priority."""

        def decide(working: Working, incident: Incident) -> None:
            policy = working.desk.policy
            assessed = working.assessed.get(incident.id)
            change = override(
                incident, by=by, at=now, policy=policy, field=field, value=header_text(value),
                justification=justification,
                before={} if assessed is None else assessed.fields,
            )  # fmt: skip
            changed = apply(working, change)
            if changed.priority == incident.priority or not changed.is_open:
                return
            facts = facts_of(changed, now)
            moves = replan(working.live_targets(changed.id, "sla."), list(policy.promises(facts)), policy)
            changed = apply(working, Change(changed, now, targets=moves))
            if changed.acknowledged_at is None and not working.live_targets(changed.id, "escalation."):
                start_escalation(working, changed, policy.path_for(facts), now)

        return self.act(ref, decide, now=now)

    def wait(
        self, ref: str, *, by: Author, now: datetime, on: str, reason: str, reference: str | None, promise: str | None
    ) -> Incident:
        """Wait on ``customer`` or ``vendor``."""
        if on not in ("customer", "vendor"):
            raise Invalid(f"{on!r} is nobody to wait on; it is customer or vendor")
        return self._plain(ref, now, lambda working, incident: wait(
            incident, by=by, at=now, policy=working.desk.policy, on=on, reason=reason, reference=reference,
            promise=promise,
        ))  # fmt: skip

    def resume(self, ref: str, *, by: Author, now: datetime, reason: str) -> Incident:
        """The wait is over."""
        return self._plain(ref, now, lambda working, incident: resume(
            incident, by=by, at=now, policy=working.desk.policy, reason=reason
        ))  # fmt: skip

    def restore(self, ref: str, *, by: Author, now: datetime, text: str) -> Incident:
        """It works again."""
        return self._plain(ref, now, lambda working, incident: restore(
            incident, by=by, at=now, policy=working.desk.policy, text=text, to=_readers(working, incident, "watcher")
        ))  # fmt: skip

    def resolve(self, ref: str, *, by: Author, now: datetime, resolution: Resolution) -> Incident:
        """It is over, and written down."""
        return self._plain(ref, now, lambda working, incident: resolve(
            incident, by=by, at=now, policy=working.desk.policy, resolution=resolution,
            to=_readers(working, incident, "watcher"),
        ))  # fmt: skip

    def reopen(self, ref: str, *, by: Author, now: datetime, reason: str) -> Incident:
        """It is not over after all."""

        def decide(working: Working, incident: Incident) -> None:
            facts = facts_of(incident, now)
            policy = working.desk.policy
            promises = list(policy.promises(facts))
            again = apply(
                working, reopen(incident, by=by, at=now, policy=policy, reason=reason, promises=promises)
            )
            if again.assignee is None:
                start_escalation(working, again, policy.path_for(facts), now)

        return self.act(ref, decide, now=now)

    def close(self, ref: str, *, by: Author, now: datetime, reason: str) -> Incident:
        """Nothing more will be done."""
        return self._plain(ref, now, lambda working, incident: close(
            incident, by=by, at=now, policy=working.desk.policy, reason=reason
        ))  # fmt: skip

    def merge(self, ref: str, *, into: str, by: Author, now: datetime, reason: str) -> Incident:
        """Make one record of two; gives the one that stays."""
        stays: list[int] = []

        def decide(working: Working, incident: Incident) -> None:
            target = working.incidents.get(working.numbers.get(_number(into), 0))
            if target is None:
                raise NotFound(f"There is no record {into}")
            people = working.participants[incident.id]
            away, here = merge(
                incident, into=target, by=by, at=now, policy=working.desk.policy, reason=reason, people=people
            )
            stays[:] = [apply(working, here).id]
            apply(working, away)

        self.act(ref, decide, now=now, also=(into,))
        return self._by_id(stays[0], now=now)

    def open(
        self, *, by: Author, now: datetime, title: str, text: str, requester: str | None, fields: Mapping[str, str]
    ) -> Incident:
        """Open a record by hand; ``fields`` may name service, category and kind."""
        address = None if requester is None else normal_address(requester)
        if requester is not None and address is None:
            raise Invalid(f"{requester!r} is no mail address")
        if not title.strip():
            raise Invalid("A record needs a title")
        policy = self._desk().policy
        check_role(None, "open", by=by, policy=policy)
        _check_given(fields, policy)
        facts = Facts(
            "submission", by.name, now, header_text(title), text=text, subject=title, service=fields.get("service"),
            category=fields.get("category"), kind=fields.get("kind"),
        )  # fmt: skip

        def take() -> Callable[[Connection], int]:
            working = self._load(Needs(addresses={address} if address else set()), now=now)
            person = None if address is None else working.person_at(address, address)
            mailbox = next(iter(working.desk.addresses.values()), None) if person is not None else None
            opening = Opening(facts, header_text(title), by, {"text": text}, requester=person, mailbox=mailbox)
            record = open_record(working, opening).id
            rows = rows_of(working)

            def keep(connection: Connection) -> int:
                save(connection, rows)
                return record

            return keep

        with self._one_at_a_time:
            return self._by_id(in_turns(self._store, attempts=MOST_COLLISIONS, take=take).value, now=now)

    # ------------------------------------------------------------------ parts

    def _plain(self, ref: str, now: datetime, decide: Callable[[Working, Incident], Change]) -> Incident:
        return self.act(ref, lambda working, incident: _apply(working, decide(working, incident)), now=now)

    def _by_id(self, record: int, *, now: datetime) -> Incident:
        """A record as it was saved, with its number."""
        working = Working(self._desk(), self._ids, now)
        with self._store.reading() as connection:
            load_records(connection, working, {record})
        return working.incidents[record]

    def _agent(self, handle: str) -> Person:
        agents = self._desk().agents
        if handle not in agents:
            raise Invalid(f"Nobody here has the handle {handle!r}; policy knows {', '.join(sorted(agents))}")
        return agents[handle]


def _apply(working: Working, change: Change) -> None:
    apply(working, change)


def _number(ref: str) -> int:
    number = parse_ref(ref)
    if number is None:
        raise Invalid(f"{ref!r} is no reference; it looks like INC-1042 or REQ-1043")
    return number


def _readers(working: Working, incident: Incident, *roles: str) -> list[Person]:
    """Who reads what is public: the requester and those who take part in these roles, each once."""
    ids = {incident.requester} if incident.requester else set()
    ids |= {person for person, _, role in working.participants[incident.id] if role in roles and person}
    return [working.people[person] for person in sorted(ids) if person in working.people]


def _check_given(fields: Mapping[str, str], policy: Policy) -> None:
    known = {"service": policy.services, "category": policy.categories, "kind": tuple(map(str, Kind))}
    for name, value in fields.items():
        if name not in known:
            raise Invalid(f"{name} can't be given at opening; {', '.join(known)} can")
        if value not in known[name]:
            raise Invalid(f"{value[:80]!r} is no {name}: {expected(value, known[name])}")
