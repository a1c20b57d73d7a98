"""Phrases that name whom a step of an escalation tells: ``team``, ``on_call of payments``, ``ana``."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple


class Phrase(NamedTuple):
    """Whom a step tells: ``who`` is team, next tier, rotation or person; ``on_call`` whether whoever is on call."""

    who: Literal["team", "next tier", "rotation", "person"]
    on_call: bool
    name: str = ""


@lru_cache(maxsize=256)
def read_phrase(text: str) -> Phrase:
    """What a phrase says.

    >>> read_phrase("on_call of payments")
    Phrase(who='rotation', on_call=True, name='payments')
    """
    words = " ".join(text.split())
    on_call = words.startswith("on_call of ")
    rest = words.removeprefix("on_call of ")
    if rest == "team":
        return Phrase("team", on_call)
    if on_call and rest == "next tier":
        return Phrase("next tier", True)  # noqa: FBT003 - the field's name says it
    return Phrase("rotation" if on_call else "person", on_call, rest)
