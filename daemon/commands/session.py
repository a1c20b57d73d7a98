"""What a command of ``triagectl`` works with, each made when it is first asked for and closed at the end."""

from __future__ import annotations

import os
import pwd
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from daemon.commands.refusals import NotConfigured, NotFound, Refused

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from daemon.acts import Acts
    from daemon.config import Config
    from desk.context import Desk
    from incidents.person import Author
    from rules.policy import Policy
    from store.engine import Store

DEFAULT_CONFIG = Path("/etc/triaged/triaged.yml")


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that every command takes, before it or after it."""

    config: Path = DEFAULT_CONFIG
    as_json: bool = False
    acting_as: str | None = None


class Session:
    """One call of a command: its options, and by way of them configuration, store, desk and author."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def as_json(self) -> bool:
        """Whether one JSON document is wanted."""
        return self.asked.as_json

    @cached_property
    def now(self) -> datetime:
        """When the command was called."""
        from daemon.clock import utc_now

        return utc_now()

    @cached_property
    def config(self) -> Config:
        """The configuration. Raises `NotConfigured` with every problem."""
        from daemon.config import load_config

        loaded = load_config(self.asked.config)
        if loaded.config is None:
            raise NotConfigured(loaded.problems)
        return loaded.config

    @cached_property
    def policy(self) -> Policy:
        """The policy as it is on the disk. Raises `NotConfigured` with every problem."""
        from daemon.policy import read_policy

        desk = self.config.desk
        loaded = read_policy(self.config.policy, framework=desk.framework, zone=desk.zone)
        if loaded.policy is None:
            raise NotConfigured(loaded.problems)
        return loaded.policy

    @cached_property
    def store(self) -> Store:
        """The database, open until the command ends."""
        from store.engine import open_store

        store = open_store(self.config.store)
        self._open.callback(store.close)
        return store

    @cached_property
    def desk(self) -> Desk:
        """The desk that decides."""
        from daemon.desks import make_desk

        config = self.config
        return make_desk(
            self.store, self.policy, domain=config.desk.domain, addresses=config.addresses, groups=config.groups
        )

    @cached_property
    def acts(self) -> Acts:
        """What can be done to records."""
        from daemon.acts import Acts

        return Acts(self.store, lambda: self.desk)

    @cached_property
    def author(self) -> Author:
        """Who acts: this user of the machine, for whomever ``--as`` names."""
        from daemon.desks import operator

        handle = self.asked.acting_as
        if handle is not None and handle not in self.policy.agents:
            known = ", ".join(sorted(self.policy.agents))
            raise Refused(f"Nobody here has the handle {handle!r}; policy knows {known}")
        return operator(self.store, os_user(), acting_as=handle)

    def reading(self) -> AbstractContextManager[Connection]:
        """One state of all tables."""
        return self.store.reading()


def os_user() -> str:
    """The name of the user of this machine who runs the command; the environment has no say in it."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def number_of(ref: str) -> int:
    """The number in a reference such as INC-1042."""
    from incidents.incident import parse_ref

    number = parse_ref(ref)
    if number is None:
        raise NotFound(f"{ref!r} is no reference; it looks like INC-1042 or REQ-1043")
    return number
