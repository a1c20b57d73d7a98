"""The parts of a daemon, which may run on nodes of their own where they share a PostgreSQL database."""

from __future__ import annotations

from enum import StrEnum

from rules.problems import expected


class Role(StrEnum):
    """One part: the doors for mail and alerts, the workers, the hand-over of mail, or the pages for people."""

    INGEST = "ingest"
    WORK = "work"
    DELIVER = "deliver"
    WEB = "web"


Roles = frozenset[Role]
ALL: Roles = frozenset(Role)


def read_roles(text: str) -> Roles:
    """The roles in a comma list. Raises `ValueError` with a sentence.

    >>> sorted(read_roles("web, ingest"))
    [<Role.INGEST: 'ingest'>, <Role.WEB: 'web'>]
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    known = [str(role) for role in Role]
    for word in words:
        if word not in known:
            raise ValueError(f"There is no role {word[:40]!r}: {expected(word, known)}.")
    if not words:
        raise ValueError(f"--role names no role, expected some of {', '.join(known)}.")
    return frozenset(Role(word) for word in words)
