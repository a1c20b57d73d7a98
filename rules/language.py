"""Conditions in CEL, for the one rule of ten that the matchers cannot say (``when:``).

The expression is checked when the policy is loaded: a name that does not exist, or a comparison of a number with a
word, is refused there. What was not decided yet is the empty text; a label that is not there makes a comparison
with it false. See docs/decisions/0003-conditions-are-cel.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from cel_expr_python import cel

from rules.asked import TEXT_READ, Asked
from rules.patterns import compile_pattern
from rules.problems import expected

LONGEST = 2000  # characters of one condition; longer ones cannot be read aloud
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: Names that hold text.
_TEXTS = (
    "from", "source", "sender", "recipient", "subject", "title", "text", "resource", "service", "category", "kind",
    "impact", "urgency", "severity", "priority", "team", "state", "weekday",
)  # fmt: skip
NAMES = (*_TEXTS, "labels", "hour")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_PATTERN = re.compile(r"""matches\([^"']*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_SAID = re.compile(r"ERROR: <input>:\d+:\d+: (.*)")


class Language:
    """Compiles conditions, and hands the facts to them; ``zone`` is the desk's, for ``hour`` and ``weekday``."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self.used: set[str] = set()
        variables = dict.fromkeys(_TEXTS, cel.Type.STRING)
        variables["hour"] = cel.Type.INT
        variables["labels"] = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
        self.environment = cel.NewEnv(variables=variables)

    def compile(self, text: str) -> Callable[[Asked], bool]:
        """Whether facts fulfil the condition; ValueError says what is wrong with it."""
        if len(text) > LONGEST:
            raise ValueError(f"this condition has {len(text)} characters, expected at most {LONGEST}")
        for pattern in _PATTERN.findall(text):
            compile_pattern(pattern[1:-1].replace("\\\\", "\\"))
        try:
            expression = self.environment.compile(str(text))
        except RuntimeError as error:
            raise ValueError(_mistake(str(error))) from None
        if expression.return_type() != cel.Type.BOOL:
            raise ValueError("this condition gives a value, expected a comparison that is true or false")
        self.used.update(name for name in _NAME.findall(text) if name in NAMES)

        def holds(asked: Asked) -> bool:
            if asked.activation is None:
                asked.activation = self.activate(asked)
            return expression.eval(asked.activation).value() is True

        return holds

    def activate(self, asked: Asked) -> Any:
        """The facts as the conditions of this policy read them: only the names that one of them uses."""
        return self.environment.Activation({name: self._value(name, asked) for name in self.used})

    def _value(self, name: str, asked: Asked) -> Any:
        read = _READ.get(name)
        if read is not None:
            return read(asked, self.zone)
        return (getattr(asked.facts, name) or "")[:TEXT_READ]


#: Names that are not simply a field of the facts.
_READ: Mapping[str, Callable[[Asked, ZoneInfo], Any]] = {
    "from": lambda asked, _zone: asked.facts.origin,
    "text": lambda asked, _zone: asked.written(),
    "service": lambda asked, _zone: asked.service or "",
    "labels": lambda asked, _zone: dict(asked.facts.labels),
    "hour": lambda asked, zone: asked.facts.at.astimezone(zone).hour,
    "weekday": lambda asked, zone: WEEKDAYS[asked.facts.at.astimezone(zone).weekday()],
}


def _mistake(said: str) -> str:
    """The compiler's message as one sentence."""
    unknown = _UNDECLARED.search(said)
    if unknown:
        return f"{unknown[1]!r} is no name that conditions know, {expected(unknown[1], NAMES)}"
    first = _SAID.search(said)
    return f"this is no condition in CEL: {first[1] if first else 'it cannot be read'}"
