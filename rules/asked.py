"""Facts while the rules are asked about them: what costs something to know is found once, when first needed."""

from __future__ import annotations

from typing import Any

from rules.facts import Facts

#: Characters of text that rules read: a text made to keep a rule busy costs no more than this.
TEXT_READ = 65_536
_HOST_LABELS = ("instance", "host", "hostname", "node")


class Asked:
    """Facts being asked about.

    ``service`` is what the facts say or point at; ``activation`` belongs to the language.
    """

    __slots__ = ("_folded", "_hosts", "_written", "activation", "facts", "service")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.service = facts.service
        self.activation: Any = None
        self._written: str | None = None
        self._folded: str | None = None
        self._hosts: tuple[str, ...] | None = None

    def written(self) -> str:
        """What was written: title and text, as far as rules read."""
        if self._written is None:
            facts = self.facts
            self._written = f"{facts.title}\n{facts.text[:TEXT_READ]}"[:TEXT_READ]
        return self._written

    def folded(self) -> str:
        """The same without the difference of capitals."""
        if self._folded is None:
            self._folded = self.written().casefold()
        return self._folded

    def hosts(self) -> tuple[str, ...]:
        """The host names that an alert mentions, without ports."""
        if self._hosts is None:
            labels = self.facts.labels
            named = [self.facts.resource, *[labels[name] for name in _HOST_LABELS if name in labels]]
            self._hosts = tuple({host.partition(":")[0]: None for host in named if host})
        return self._hosts
