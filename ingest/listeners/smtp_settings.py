"""What the mail doors can be told: settings, and the desk addresses that they take mail for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from kit.addresses import Address, parse_address

MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class Tls:
    """The door's own certificate, offered by STARTTLS."""

    certificate_file: Path
    """PEM file with the certificate and those that lead to its root."""
    key_file: Path
    """PEM file with the certificate's key."""


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How a mail door behaves, by SMTP or LMTP."""

    listen: str
    """Address and port; for LMTP the path of a Unix socket."""
    addresses: Mapping[str, str]
    """Desk address (or ``*@domain`` for all others of a domain) to its entry in mailboxes.yml; the first one of a
    mail's recipients in this order has the mail."""
    hostname: str = "localhost"
    """What the door calls itself in its banner."""
    max_size: int = 35 * MIB
    """Bytes of one mail: what large providers let through."""
    tls: Tls | None = None
    """Without it STARTTLS is not offered, and nobody can sign in."""
    users_file: Path | None = None
    """Who may sign in, one ``name:scrypt$…`` a line; None: nobody can."""
    max_rcpt: int = 100
    """Recipients of one mail; the least that RFC 5321 allows."""
    max_connections: int = 250
    """Open connections in all: with 20 a source, a dozen sources at their worst."""
    max_connections_per_source: int = 20
    """Open connections of one IPv4 address or IPv6 /64 (of a Unix socket: no limit), as large senders use at most."""
    memory: int = 256 * MIB
    """Bytes of mails being received, all connections together; beyond it senders are told to come back."""
    idle: timedelta = timedelta(minutes=5)
    """Silence after which a connection is closed, as RFC 5321 4.5.3.2.7 has it."""
    data_within: timedelta = timedelta(minutes=30)
    """How long one mail may take to arrive."""
    slowest: int = 100
    """Bytes a second below which a mail that arrives is given up."""
    slow_for: timedelta = timedelta(seconds=60)
    """Over how long the slowest rate is measured."""
    auth_pause: timedelta = timedelta(seconds=2)
    """Pause before a wrong password is answered."""
    drain: timedelta = timedelta(seconds=20)
    """How long a stopping door waits for mails that are arriving."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The desk addresses in normal form, ready to be asked."""

    mailboxes: Mapping[str, str]
    rank: Mapping[str, int] = field(default_factory=dict)
    domains: frozenset[str] = frozenset()

    @classmethod
    def of(cls, addresses: Mapping[str, str]) -> Desk:
        """The same addresses, normalised and in order."""
        normal = {_normal(address): mailbox for address, mailbox in addresses.items()}
        rank = {address: position for position, address in enumerate(normal)}
        return cls(normal, rank, frozenset(address.rpartition("@")[2] for address in normal))

    def takes(self, address: Address) -> bool:
        """Whether mail to ``address`` is for the desk: exactly one of its addresses, or under a catch-all."""
        return self._entry(address.normal) is not None

    def is_local(self, address: Address) -> bool:
        """Whether the domain is one of ours and the local part asks for no relaying."""
        local, _, domain = address.normal.partition("@")
        return domain in self.domains and "%" not in local and "!" not in local

    def mailbox(self, normals: list[str]) -> str:
        """The entry of mailboxes.yml that has a mail to these addresses: the first in the order of the policy."""
        entries = [entry for entry in map(self._entry, normals) if entry is not None]
        return self.mailboxes[min(entries, key=self.rank.__getitem__)]

    def _entry(self, normal: str) -> str | None:
        if normal in self.mailboxes:
            return normal
        anybody = "*@" + normal.rpartition("@")[2]
        return anybody if anybody in self.mailboxes else None


def _normal(address: str) -> str:
    parsed = parse_address(address)
    return parsed.normal if parsed else address.lower()
