"""What a goal measured, beside what `docs/performance.md` asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: seconds of one leg, and how many rounds of legs."""

    seconds: float
    rounds: int
    quick: bool

    def count(self, number: int) -> int:
        """A count, a fifth of it when it must be quick."""
        return number // 5 if self.quick else number


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure. ``peer`` is the same of the peer in this run; what is compared is the ratio where there is one.

    ``most`` says that the figure should stay below ``must`` and ``aim``. ``more`` goes into the JSON.
    """

    goal: str
    what: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    peer: float | None = None
    most: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """To the peer."""
        return None if not self.peer else self.value / self.peer

    @property
    def verdict(self) -> str:
        """How far it is: aim, must, half of the must, or less."""
        value = self.value if self.ratio is None else self.ratio
        for word, bound in (("aim", self.aim), ("must", self.must), ("half", self._half)):
            if bound is not None and (value <= bound if self.most else value >= bound):
                return word
        return "" if self.must is None else "miss"

    @property
    def _half(self) -> float | None:
        if self.must is None:
            return None
        return self.must * 2 if self.most else self.must / 2

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {**asdict(self), "ratio": self.ratio, "verdict": self.verdict}


Goal = Callable[[Effort, Console], Iterator[Measured]]


def middle(values: Sequence[float]) -> float:
    """The median; 0 for none."""
    return median(values) if values else 0.0


def shown(value: float | None) -> str:
    """A figure for a table."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table_of(measured: Sequence[Measured]) -> Table:
    """All figures as a table."""
    table = Table("goal", "what", "measured", "peer", "ratio", "must", "aim", "reached")
    for one in measured:
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        table.add_row(
            one.goal, one.what, f"{shown(one.value)} {one.unit}", shown(one.peer), ratio, shown(one.must),
            shown(one.aim), one.verdict,
        )  # fmt: skip
    return table


def by_stage(before: Mapping[str, float], after: Mapping[str, float], items: int) -> dict[str, float]:
    """Microseconds of processor time an item, by stage."""
    return {
        name: round((seconds - before.get(name, 0.0)) / max(items, 1) * 1e6, 1)
        for name, seconds in after.items()
        if seconds > before.get(name, 0.0)
    }
