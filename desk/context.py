"""What every decision may read: the policy in force and who this desk is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from incidents.person import Author, Person
from kit.tokens import Keyring
from rules.policy import Policy, Told


@dataclass(frozen=True, slots=True)
class Desk:
    """The desk that decides.

    ``random_bytes`` gives so many, none of them twice. ``machine`` is the author of what the desk does by itself,
    ``sources`` those of what machines say, by source. ``agents`` are the rows of the people whom policy names, by
    handle; ``team_people`` those of team addresses. ``addresses`` maps each desk address (normal form) to its entry
    of ``mailboxes.yml``, the policy's first one first; ``groups`` each source to its group.
    """

    policy: Policy
    instance: str
    domain: str
    keyring: Keyring
    random_bytes: Callable[[int], bytes]
    machine: Author
    sources: Mapping[str, Author]
    agents: Mapping[str, Person]
    team_people: Mapping[str, Person]
    addresses: Mapping[str, str]
    groups: Mapping[str, str]

    def person_told(self, told: Told) -> Person:
        """The row of somebody whom a step tells: an agent, or a team's own address."""
        return self.agents[told.handle] if told.handle is not None else self.team_people[told.address]

    def group(self, source: str) -> str:
        """The source group, within which fold keys are shared."""
        return self.groups.get(source, source)

    def address_of(self, mailbox: str | None) -> str | None:
        """The address that a mailbox speaks from; the first one for a record that came by none."""
        for address, name in self.addresses.items():
            if not address.startswith("*") and (mailbox is None or name == mailbox):
                return address
        return None

    def mailbox_at(self, address: str) -> str | None:
        """The mailbox that an address in normal form belongs to; ``*@example.com`` takes what no other entry does."""
        return self.addresses.get(address) or self.addresses.get(f"*@{address.rpartition('@')[2]}")
