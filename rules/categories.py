"""categories.yml: what it is about, as a tree of dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.known import Known
from rules.policy import Category
from rules.problems import Word, expected
from rules.reading import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryLine:
    """A category."""

    label: str = setting("What people call it.")
    owner: Word | None = setting(
        "The team that keeps it in order; that of the category above when left out.", default=None
    )


def check_categories(written: Mapping[Word, CategoryLine], known: Known) -> None:
    """Each is below one that is there, and its owner exists."""
    known.check("team", [line.owner for line in written.values()])
    for name in written:
        above = name.rpartition(".")[0]
        if above and above not in written and above not in known.problems.lost:
            known.problems.add(name.where, f"there is no category {above!r} above it, {expected(above, written)}")


def make_categories(written: Mapping[Word, CategoryLine]) -> Mapping[str, Category]:
    """The categories by name."""
    return {
        str(name): Category(str(name), line.label, None if line.owner is None else str(line.owner))
        for name, line in written.items()
    }
