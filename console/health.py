"""How the process is, for those who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Health(NamedTuple):
    """Why the desk takes no work now, a short sentence each; ready when there is none."""

    reasons: Sequence[str] = ()

    @property
    def ready(self) -> bool:
        """Whether the doors are open."""
        return not self.reasons
