"""Making a `Desk`: the policy in force, the instance's keys, and the rows of the people whom both name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from daemon.config import Config
from desk.context import Desk
from incidents.person import Author, Person
from incidents.signal import Mailbox
from notifiers.voice import Voice
from rules.policy import Policy
from store.engine import Store
from store.keys import load_instance, load_keyring
from store.people import Known, ensure_people

MACHINE = frozenset({"machine"})
_DESK = Known("desk", "the desk")


def make_desk(
    store: Store, policy: Policy, *, domain: str, addresses: Mapping[str, str], groups: Mapping[str, str]
) -> Desk:
    """The desk that decides. ``addresses``: desk address to mailbox; ``groups``: source to its group.

    Gives everybody whom policy or configuration names a row of ``people``.
    """
    agents = [
        Known(one.handle, one.name, one.mail.lower(), one.language, one.zone) for one in policy.agents.values()
    ]
    teams = [Known(f"team:{one.name}", one.name, one.mail.lower()) for one in policy.teams.values() if one.mail]
    sources = [Known(f"source:{name}", name) for name in groups]
    with store.writing() as connection:
        rows = ensure_people(connection, [_DESK, *agents, *teams, *sources])
    with store.reading() as connection:
        instance, keyring = load_instance(connection), load_keyring(connection)
    return Desk(
        policy=policy,
        instance=instance.id,
        domain=domain,
        keyring=keyring,
        random_bytes=os.urandom,
        machine=_machine(rows["desk"]),
        sources={name: _machine(rows[f"source:{name}"]) for name in groups},
        agents={one.handle: rows[one.handle] for one in policy.agents.values()},
        team_people={one.mail: rows[f"team:{one.name}"] for one in policy.teams.values() if one.mail},
        addresses=addresses,
        groups=groups,
    )


def voice_of(config: Config, desk: Desk) -> Voice:
    """How the desk speaks in its mails."""
    sender = config.relay.sender
    names = dict.fromkeys(config.addresses.values())
    addresses = {name: address for name in names if (address := desk.address_of(name)) is not None}
    return Voice(
        config.desk.name, desk.instance, Mailbox(sender.address, sender.name), config.desk.zone, addresses,
        config.public_url,
    )  # fmt: skip


def operator(store: Store, user: str, *, acting_as: str | None = None) -> Author:
    """The author of what is done on the store from the shell: ``cli:{os user}``, with the role admin."""
    with store.writing() as connection:
        person = ensure_people(connection, [Known(f"cli:{user}", user)])[f"cli:{user}"]
    return Author(person.id, person.name, frozenset({"admin"}), acting_as=acting_as)


def agent_author(desk: Desk, person: Person) -> Author | None:
    """The author that a person of the policy is; None for everybody else."""
    known = desk.policy.agents.get(person.handle or "")
    if known is None:
        return None
    return Author(person.id, person.name, known.roles, team=known.team)


def _machine(person: Person) -> Author:
    return Author(person.id, person.name, MACHINE, human=False)
