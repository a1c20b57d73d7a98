"""People, and the authors of what is written on a timeline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """Anyone known by mail or policy. Agents have a handle; an unknown sender has none, and no rights."""

    id: int
    name: str
    handle: str | None = None
    address: str | None = None
    language: str | None = None
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class Author:
    """Who does something: a person's id, what they may do, and whether a human acts.

    ``acting_as`` is the handle that an operator named with ``--as``; it is recorded and gives no rights.
    """

    person: int
    name: str
    roles: frozenset[str]
    human: bool = True
    team: str | None = None
    acting_as: str | None = None
