"""Facts while the rules are asked about them: what costs something to know is found once, when first needed."""

from __future__ import annotations

from typing import Any

from rules.facts import Facts

#: Characters of text that rules read: a text made to keep a rule busy costs no more than this.
TEXT_READ = 65_536


class Asked:
    """Facts being asked about. ``service`` is what the facts say or point at; ``activation`` belongs to the language."""

    __slots__ = ("_folded", "activation", "facts", "service")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.service = facts.service
        self.activation: Any = None
        self._folded: str | None = None

    def written(self) -> str:
        """What was written: title and text, as far as rules read."""
        facts = self.facts
        return f"{facts.title[:TEXT_READ]}\n{facts.text[:TEXT_READ]}"[:TEXT_READ]

    def folded(self) -> str:
        """The same without the difference of capitals."""
        if self._folded is None:
            self._folded = self.written().casefold()
        return self._folded
